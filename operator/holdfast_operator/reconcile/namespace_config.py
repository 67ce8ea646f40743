"""The ConfigMap by which the applications of a namespace find the server: its content, and what makes it so.

Owns the keys, whose it is, and when it is written or taken away. Pure. Neighbours: `converge.namespace_config` observes and
carries out; `holdfast.registry.records.Endpoints` says where clients go.
"""

from dataclasses import dataclass, fields

from holdfast.registry.records import Endpoints
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import FIELD_MANAGER, Kind, Object

CONFIG_LABEL = "holdfast.dev/config"
"""On the ConfigMaps that are ours; its value is `server`."""
_LABELS = {CONFIG_LABEL: "server", "app.kubernetes.io/managed-by": FIELD_MANAGER}
CA_KEY = "ca.crt"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """`ca`: PEM of the CA certificates that the server's certificates lead to; empty: a public CA, which everybody has."""

    endpoints: Endpoints
    ca: str

    @property
    def data(self) -> dict[str, str]:
        """Members of the server's metadata by their registered names (RFC 8414, RFC 8705 section 5), and the CA."""
        urls = {f.name: getattr(self.endpoints, f.name) for f in fields(self.endpoints)}
        return {name: value for name, value in {**urls, CA_KEY: self.ca}.items() if value}


@dataclass(frozen=True, slots=True)
class Write:
    """Make it so, whatever it says now."""

    config_map: Object


@dataclass(frozen=True, slots=True)
class Remove:
    """That very one is of no use any more, or cannot be changed."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """Somebody else's has the name."""


def judge(live: Object | None, wanted: Object | None) -> Write | Remove | LeaveAlone | None:
    """What is to be done; None: nothing. `wanted` None: nobody in the namespace is a client."""
    if live is not None and not is_ours(live):
        return None if wanted is None else LeaveAlone()
    if wanted is None or (live is not None and live.get("immutable")):
        return None if live is None else Remove(live["metadata"]["name"], live["metadata"]["uid"])
    if live is not None and _says(live, wanted):
        return None
    return Write(wanted if live is None else _that_one(wanted, live))


def config_map(namespace: str, name: str, config: ServerConfig) -> Object:
    """As it should read."""
    return {
        "apiVersion": Kind.CONFIG_MAP.api_version,
        "kind": Kind.CONFIG_MAP.kind,
        "metadata": {"namespace": namespace, "name": name, "labels": dict(_LABELS)},
        "data": config.data,
    }


def is_ours(live: Object) -> bool:
    """By its label, or where somebody took that off, by who applied it."""
    metadata = mapping(live.get("metadata"))
    if CONFIG_LABEL in mapping(metadata.get("labels")):
        return True
    managers = metadata.get("managedFields") or ()
    return any((m.get("manager"), m.get("operation")) == (FIELD_MANAGER, "Apply") for m in managers)


def _says(live: Object, wanted: Object) -> bool:
    """What others have added is theirs, but for the name of a key that is ours."""
    data, labels = mapping(live.get("data")), mapping(live["metadata"].get("labels"))
    own = {f.name for f in fields(Endpoints)} | {CA_KEY}
    return {k: v for k, v in data.items() if k in own} == wanted["data"] and _LABELS.items() <= labels.items()


def _that_one(wanted: Object, live: Object) -> Object:
    """So that another one, which has taken its place meanwhile, is not overwritten."""
    return {**wanted, "metadata": {**wanted["metadata"], "uid": live["metadata"]["uid"]}}
