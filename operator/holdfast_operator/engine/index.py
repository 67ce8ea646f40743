"""Which keys an event concerns: from any object to the clients and policies that look at it.

Owns a small store of what events showed: of each client what it refers to, of each namespace its labels, of each
policy its selectors. It only answers "look again at these"; a pass reads the objects themselves (from the mirror, which
events and listings keep), so a gap here costs a resync, never a wrong decision. Must not do I/O. Neighbours: `engine` feeds
it; `reconcile.policies` owns the forms of a policy.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType
from holdfast.policy.model import PolicyMode
from holdfast_operator.engine.audiences import Audiences
from holdfast_operator.engine.children import Children
from holdfast_operator.engine.referrers import Referrers
from holdfast_operator.engine.standing import Standing
from holdfast_operator.reconcile.breaches import shown_certificate
from holdfast_operator.reconcile.issued import CERTIFICATE_NAME, condition
from holdfast_operator.reconcile.names import References, mapping, references
from holdfast_operator.reconcile.namespace_config import is_ours
from holdfast_operator.reconcile.policies import is_accepted_as_written, policy_forms
from holdfast_operator.reconcile.policy_sources import referenced_config_maps
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.selectors import matches

FOLLOWED = (
    Kind.NAMESPACE,
    Kind.MTLS_POLICY,
    Kind.OAUTH_CLIENT,
    Kind.CERTIFICATE,
    Kind.CERTIFICATE_REQUEST,
    Kind.ISSUER,
    Kind.CLUSTER_ISSUER,
    Kind.CONFIG_MAP,
)
"""Kinds whose events are of interest, in the order in which a first listing best shows them."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """Of one client: what it refers to, and what policies look at."""

    labels: Mapping[str, str]
    refers: References
    counted: object
    """What a policy's status counts it by, besides its labels: its spec, and the certificate that its status shows."""


Concerned = Callable[[str, ClientFacts], bool]
"""Whether the client of this name is concerned by the object in question."""


class Index:
    """Events in, keys out. `config_map`: name of the one that each namespace with a client has; "": none has."""

    def __init__(self, config_map: str = "") -> None:
        self._config_map = config_map
        self._clients: dict[str, dict[str, ClientFacts]] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._policies: dict[str, tuple[Mapping[str, Any], ...]] = {}
        self._refused: set[str] = set()
        """Policies whose status says that they cannot be accepted as they are written."""
        self._audiences = Audiences()
        self._referrers = Referrers()
        self._children = Children()
        self.standing = Standing()
        """How the clients stand."""

    def observe(self, kind: Kind, obj: Object, *, deleted: bool = False) -> set[Key]:
        """Take in one object as an event shows it; answers the keys to look at."""
        match kind:
            case Kind.OAUTH_CLIENT:
                return self._client(obj, deleted)
            case Kind.MTLS_POLICY:
                return self._policy(obj, deleted)
            case Kind.NAMESPACE:
                return self._namespace(obj, deleted)
            case Kind.CERTIFICATE:
                return self._certificate(obj) if self._children.is_news(kind, obj, deleted=deleted) else set()
            case Kind.CERTIFICATE_REQUEST:
                return self._request(obj) if self._children.is_news(kind, obj, deleted=deleted) else set()
            case Kind.CONFIG_MAP:
                namespace, name = _name(obj)
                named = self._named(namespace, self._referrers.of_config_map(namespace, name))
                return named | self._reading((namespace, name)) | self._config(obj)
            case Kind.ISSUER | Kind.CLUSTER_ISSUER:
                issuer = (kind, obj["metadata"]["name"])
                return self._where(obj, lambda _, facts: facts.refers.issuer == issuer)

    def replace(self, kind: Kind, objects: Iterable[Object]) -> set[Key]:
        """Take in a whole fresh listing; answers all keys it concerns, and those of what has vanished unseen."""
        keys: set[Key] = set()
        ghosts = self._known(kind)
        for obj in objects:
            ghosts.discard(_name(obj))
            keys |= self.observe(kind, obj)
        for namespace, name in ghosts:
            keys |= self.observe(kind, {"metadata": {"namespace": namespace, "name": name}}, deleted=True)
        return keys

    def __len__(self) -> int:
        """How many clients were seen."""
        return sum(map(len, self._clients.values()))

    def clients(self) -> set[Key]:
        """Every client seen."""
        return {Key(Kind.OAUTH_CLIENT, ns, name) for ns, found in self._clients.items() for name in found}

    def requesters(self) -> set[Key]:
        """Every client that names a resource."""
        return self._audiences.requesters()

    def config_maps(self) -> set[Key]:
        """The ConfigMap of every namespace with a client."""
        return {self._config_of(namespace) for namespace, found in self._clients.items() if found and self._config_map}

    def policies(self) -> set[Key]:
        """Every policy seen."""
        return {Key(Kind.MTLS_POLICY, "", name) for name in self._policies}

    def _known(self, kind: Kind) -> set[tuple[str, str]]:
        match kind:
            case Kind.OAUTH_CLIENT:
                return {(key.namespace, key.name) for key in self.clients()}
            case Kind.MTLS_POLICY:
                return {("", name) for name in self._policies}
            case Kind.NAMESPACE:
                return {("", name) for name in self._namespaces}
            case _:
                return set()

    def _client(self, obj: Object, deleted: bool) -> set[Key]:
        namespace, name = _name(obj)
        before, had_any = self._clients.get(namespace, {}).get(name), bool(self._clients.get(namespace))
        after = None if deleted else _facts(obj)
        if after is None:
            self._clients.get(namespace, {}).pop(name, None)
        else:
            self._clients.setdefault(namespace, {})[name] = after
        referred, refers = (facts.refers if facts else None for facts in (before, after))
        self._referrers.note(namespace, name, referred, refers)
        key = Key(Kind.OAUTH_CLIENT, namespace, name)
        self.standing.observe(key, None if deleted else obj)
        keys = {key} | self._audiences.observe(key, None if deleted else obj)
        if before is None or after is None or (before.labels, before.counted) != (after.labels, after.counted):
            keys |= self._policies_of(namespace, [facts.labels for facts in (before, after) if facts])
        if self._config_map and bool(self._clients.get(namespace)) is not had_any:
            keys.add(self._config_of(namespace))
        return keys

    def _config_of(self, namespace: str) -> Key:
        return Key(Kind.CONFIG_MAP, namespace, self._config_map)

    def _config(self, obj: Object) -> set[Key]:
        """Ours, or what has its name: in a namespace without clients, ours may have been left behind."""
        namespace, name = _name(obj)
        concerned = name == self._config_map and (is_ours(obj) or bool(self._clients.get(namespace)))
        return {self._config_of(namespace)} if concerned else set()

    def _policies_of(self, namespace: str, labels: Iterable[Mapping[str, str]]) -> set[Key]:
        return {
            Key(Kind.MTLS_POLICY, "", name)
            for name, forms in self._policies.items()
            if any(self._form_matches(form, namespace, found) for form in forms for found in labels)
        }

    def _policy(self, obj: Object, deleted: bool) -> set[Key]:
        _, name = _name(obj)
        before, was_refused = self._policies.get(name, ()), name in self._refused
        after = () if deleted else policy_forms(obj)
        self._refused.discard(name)
        if deleted:
            self._policies.pop(name, None)
        else:
            self._policies[name] = after
            self._refused |= {name} if condition(obj, ConditionType.ACCEPTED).get("status") == "False" else set()
        keys = {Key(Kind.MTLS_POLICY, "", name)}
        only_told = before[:1] == after[:1] and is_accepted_as_written(obj) and not was_refused
        if before == after or only_told:
            return keys
        return keys | self._ruled((*before, *after)) | self._pinning()

    def _pinning(self) -> set[Key]:
        """Policies that pin trust anchors: who breaks one depends on what others leave."""
        pins = (name for name, forms in self._policies.items() for form in forms if _pins(form))
        return {Key(Kind.MTLS_POLICY, "", name) for name in pins}

    def _ruled(self, forms: Iterable[Mapping[str, Any]]) -> set[Key]:
        """Clients that one of the forms selects, and to whom it means anything: what is audited, the policy alone tells."""
        selecting = tuple(form for form in forms if form.get("mode") != PolicyMode.AUDIT)
        if not selecting:
            return set()
        return {
            Key(Kind.OAUTH_CLIENT, namespace, client)
            for namespace, found in self._clients.items()
            for client, facts in found.items()
            if any(self._form_matches(form, namespace, facts.labels) for form in selecting)
        }

    def _reading(self, place: tuple[str, str]) -> set[Key]:
        """Policies that keep something in this ConfigMap, and the clients whom they rule."""
        found = {
            name: forms
            for name, forms in self._policies.items()
            if any(place in referenced_config_maps(form) for form in forms)
        }
        keys = {Key(Kind.MTLS_POLICY, "", name) for name in found}
        return keys | self._ruled(form for forms in found.values() for form in forms)

    def _form_matches(self, form: Mapping[str, Any], namespace: str, labels: Mapping[str, str]) -> bool:
        here = self._namespaces.get(namespace)
        by_namespace = here is None or matches(form.get("namespaceSelector"), here)
        return by_namespace and matches(form.get("clientSelector"), labels)

    def _namespace(self, obj: Object, deleted: bool) -> set[Key]:
        name = obj["metadata"]["name"]
        labels = {} if deleted else dict(obj["metadata"].get("labels") or {})
        if self._namespaces.get(name) == labels:
            return set()
        if deleted:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = labels
        found = {Key(Kind.OAUTH_CLIENT, name, client) for client in self._clients.get(name, ())}
        return found | (self.policies() if found else set())

    def _certificate(self, obj: Object) -> set[Key]:
        """Its owner, whoever has its name, and whoever wants its Secret: the last two may have waited for it to go."""
        namespace, name = _name(obj)
        secret = str((obj.get("spec") or {}).get("secretName") or "")
        return self._issued(namespace, {name, *self._referrers.of_secret(namespace, secret)})

    def _request(self, obj: Object) -> set[Key]:
        """Whose Certificate it is of."""
        name = (obj["metadata"].get("annotations") or {}).get(CERTIFICATE_NAME)
        return self._issued(_name(obj)[0], {str(name)})

    def _issued(self, namespace: str, names: Iterable[str]) -> set[Key]:
        """Those that have their certificates issued."""
        known = self._clients.get(namespace, {})
        return self._named(namespace, (n for n in names if n in known and known[n].refers.issuer is not None))

    @staticmethod
    def _named(namespace: str, names: Iterable[str]) -> set[Key]:
        return {Key(Kind.OAUTH_CLIENT, namespace, name) for name in names}

    def _where(self, obj: Object, concerned: Concerned) -> set[Key]:
        """Clients in the object's namespace (anywhere, for a cluster-scoped object) that it concerns."""
        namespace = obj["metadata"].get("namespace")
        places = [namespace] if namespace else list(self._clients)
        return {
            Key(Kind.OAUTH_CLIENT, place, name)
            for place in places
            for name, facts in self._clients.get(place, {}).items()
            if concerned(name, facts)
        }


def _name(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _pins(form: Mapping[str, Any]) -> bool:
    return bool(mapping(form.get("certificates")).get("trustAnchors"))


def _facts(obj: Object) -> ClientFacts:
    return ClientFacts(
        labels=dict(obj["metadata"].get("labels") or {}),
        refers=references(obj),
        counted=(obj["metadata"].get("generation"), shown_certificate(obj)),
    )
