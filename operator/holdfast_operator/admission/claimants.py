"""What each OAuthClient claims for itself alone, as its object shows it: its client id, its audiences, its subject.

Owns the facts of a client that a rival has to be compared with, and the index over them. Pure, and lenient: what cannot be
read claims nothing. Neighbours: `rivals` compares, `store` feeds it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType
from holdfast.x509.subject import SubjectKind, SubjectRule, SubjectRuleError, parse_subject_rule
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import audiences, client_id_of, mapping, references
from holdfast_operator.reconcile.ports import Key, Kind, Object


@dataclass(frozen=True, slots=True)
class AnchorKey:
    """A key of a ConfigMap of the client's namespace that holds trust anchors."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """One client. `subject`: as written; None where it follows from the client's ServiceAccount, which nobody else has.

    `anchors`, else `issuer`: where its trust anchors come from. `holds`: it is registered as it stands, so that whoever
    claims the same is refused; else it has merely asked, and may be refused itself.
    """

    key: Key
    client_id: str
    audiences: frozenset[str]
    subject: SubjectRule | None
    anchors: tuple[AnchorKey, ...]
    issuer: tuple[Kind, str] | None
    holds: bool

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.key.namespace}/{self.key.name}"


def key_of(client: Object) -> Key:
    """The client's own key."""
    return Key(Kind.OAUTH_CLIENT, client["metadata"]["namespace"], client["metadata"]["name"])


def claimant_of(client: Object, *, holds: bool | None = None) -> Claimant:
    """`holds` None: as the client's status says; a folder of manifests has no status, and each of them is meant to hold."""
    authentication = mapping(mapping(client.get("spec")).get("authentication"))
    return Claimant(
        key=key_of(client),
        client_id=client_id_of(client),
        audiences=audiences(client),
        subject=_subject(mapping(authentication.get("subject"))),
        anchors=tuple(_anchors(authentication.get("trustAnchors"))),
        issuer=references(client).issuer,
        holds=_is_registered(client) if holds is None else holds,
    )


def _subject(written: Mapping[str, Any]) -> SubjectRule | None:
    for kind in SubjectKind:
        if isinstance(written.get(kind.value), str):
            with suppress(SubjectRuleError):
                return parse_subject_rule(kind, written[kind.value])
    return None


def _anchors(written: object) -> Iterator[AnchorKey]:
    for entry in written if isinstance(written, list) else ():
        reference = mapping(mapping(entry).get("configMapKeyRef"))
        if reference.get("name") and reference.get("key"):
            yield AnchorKey(str(reference["name"]), str(reference["key"]))


def _is_registered(client: Object) -> bool:
    metadata, status = client["metadata"], mapping(client.get("status"))
    return bool(
        status.get("registration")
        and status.get("observedGeneration") == metadata.get("generation")
        and condition(client, ConditionType.REGISTERED.value).get("status") == "True"
        and not metadata.get("deletionTimestamp")
    )


class Claimants:
    """All of them, found by what they claim."""

    def __init__(self, clients: Iterable[Claimant] = ()) -> None:
        self._by_key: dict[Key, Claimant] = {}
        self._by_claim: dict[object, set[Key]] = {}
        for client in clients:
            self.put(client)

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: Key) -> Claimant | None:
        """The one of that key."""
        return self._by_key.get(key)

    def keys(self) -> set[Key]:
        """Those of all."""
        return set(self._by_key)

    def put(self, client: Claimant) -> None:
        """Take one in, in the place of what it was before."""
        if self._by_key.get(client.key) == client:
            return
        self.drop(client.key)
        self._by_key[client.key] = client
        for claim in _claims(client):
            self._by_claim.setdefault(claim, set()).add(client.key)

    def drop(self, key: Key) -> None:
        """It is gone."""
        before = self._by_key.pop(key, None)
        for claim in _claims(before) if before else ():
            self._by_claim[claim].discard(key)
            if not self._by_claim[claim]:
                del self._by_claim[claim]

    def of_client_id(self, client_id: str) -> tuple[Claimant, ...]:
        """Whose client id it is, or will be."""
        return self._found(("id", client_id))

    def of_audience(self, audience: str) -> tuple[Claimant, ...]:
        """Whose audience it is, or will be."""
        return self._found(("audience", audience))

    def of_subject(self, subject: SubjectRule) -> tuple[Claimant, ...]:
        """Who has written the same subject, under whichever anchors."""
        return self._found(("subject", subject.kind, subject.canonical))

    def _found(self, claim: object) -> tuple[Claimant, ...]:
        return tuple(self._by_key[key] for key in sorted(self._by_claim.get(claim, ()), key=lambda k: k[1:]))


def _claims(client: Claimant) -> Iterator[object]:
    yield "id", client.client_id
    for audience in client.audiences:
        yield "audience", audience
    if client.subject is not None:
        yield "subject", client.subject.kind, client.subject.canonical
