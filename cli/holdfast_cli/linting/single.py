"""What one object alone shows: the schema's limits and rules, in the API server's words, and what only a reader would see.

Owns the rules about private keys and selectors. Neighbours: `holdfast.api.v1alpha1.validation` (schema, CEL), `across`.
"""

from collections.abc import Iterable, Iterator, Mapping

from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from holdfast_cli.linting.findings import Finding, Level, OwnRule, Rule
from holdfast_cli.manifests.documents import OWN, Declared, Documents, Unusable
from holdfast_operator.adapters.folder.documents import describe
from holdfast_operator.adapters.folder.metadata import small_kind_problems
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Key, Kind, Object

_PRIVATE = "PRIVATE KEY-----"
"""How the first line of every private key in PEM ends (RFC 7468 sections 10 and 11, OpenSSL's and OpenSSH's own forms)."""


def judge_each(documents: Documents) -> tuple[list[Finding], list[Declared]]:
    """What is wrong with single objects, and those that can be judged together: valid, with their defaults."""
    findings = [_unusable(OwnRule.UNREADABLE_DOCUMENT, found) for found in documents.unreadable]
    findings += [_unusable(OwnRule.INVALID_OBJECT, found) for found in documents.invalid]
    broken = {found.key for found in documents.invalid}
    valid: dict[Key, Declared] = {}
    seen: dict[Key, Declared] = {}
    for declared in documents.declared:
        findings += _duplicate(declared, seen.get(declared.key))
        seen.setdefault(declared.key, declared)
        settled, found = _judged(declared, _before(declared, valid))
        findings += found
        if settled is not None and declared.key not in broken:
            valid[declared.key] = settled
    return findings, list(valid.values())


def _unusable(rule: OwnRule, found: Unusable) -> Finding:
    return Finding(
        rule=rule,
        level=Level.ERROR,
        place=found.place,
        object="" if found.key is None else describe(found.key),
        field=found.field,
        message=found.message,
    )


def _duplicate(declared: Declared, first: Declared | None) -> Iterator[Finding]:
    if first is not None:
        message = f"the same object stands at {first.spot.of('')}, too: keep one, or give one another name"
        yield of_field(declared, OwnRule.DUPLICATE_OBJECT, Level.WARNING, "metadata.name", message)


def _before(declared: Declared, valid: Mapping[Key, Declared]) -> Declared | None:
    """What it would change: an earlier document of the same file. Other files may be for other clusters."""
    earlier = valid.get(declared.key)
    return earlier if earlier is not None and earlier.spot.file == declared.spot.file else None


def _judged(declared: Declared, before: Declared | None) -> tuple[Declared | None, list[Finding]]:
    """`before`: the object as an earlier document declares it, which this one would change."""
    if declared.key.kind not in OWN:
        problems = foreign_problems(declared)
        findings = [of_field(declared, OwnRule.INVALID_OBJECT, Level.ERROR, field, text) for field, text in problems]
        return (None if problems else declared), [*findings, *_private_keys(declared)]
    try:
        settled = apply_defaults_and_validate(declared.object, None if before is None else before.object)
    except InvalidObject as error:
        return None, [of_field(declared, OwnRule.INVALID_OBJECT, Level.ERROR, p.field, p.message) for p in error.problems]
    return Declared(declared.key, settled, declared.spot), list(_selectors(declared))


def foreign_problems(declared: Declared) -> list[tuple[str, str]]:
    """Of the kinds that are not ours only what would be in the way of reading them."""
    if declared.key.kind is not Kind.CERTIFICATE:
        return small_kind_problems(declared.key, declared.object)
    is_readable = isinstance(declared.object.get("spec"), dict)
    return [] if is_readable else [("spec", "expected an object with secretName and issuerRef, found none")]


def _private_keys(declared: Declared) -> Iterator[Finding]:
    if declared.key.kind is not Kind.CONFIG_MAP:
        return
    for key in _with_private_key(declared.object):
        message = (
            "a private key stands here, and everybody who may read ConfigMaps has it: issue a new one, and keep that in a "
            "Secret"
        )
        yield of_field(declared, OwnRule.PRIVATE_KEY_IN_CONFIG_MAP, Level.WARNING, f"data[{key}]", message)


def _with_private_key(config_map: Object) -> Iterable[str]:
    return (key for key, value in mapping(config_map.get("data")).items() if _PRIVATE in str(value))


def _selectors(declared: Declared) -> Iterator[Finding]:
    if declared.key.kind is not Kind.MTLS_POLICY:
        return
    spec = declared.object.get("spec") or {}
    if spec.get("clientSelector") and not spec.get("namespaceSelector"):
        message = (
            "labels of clients are written by the tenants whom the policy rules, so each can step under it or out of it: "
            "select by labels of namespaces as well, with namespaceSelector"
        )
        yield of_field(declared, OwnRule.CLIENT_SELECTOR_ALONE, Level.WARNING, "spec.clientSelector", message)


def of_field(declared: Declared, rule: Rule, level: Level, field: str, message: str) -> Finding:
    """A finding about one field of an object."""
    return Finding(
        rule=rule,
        level=level,
        place=declared.spot.of(field),
        object=str(declared),
        field=field,
        message=message,
    )
