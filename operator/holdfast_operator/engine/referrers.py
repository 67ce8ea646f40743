"""From what clients refer to, to the clients: no event of one object goes through all clients of a namespace.

Owns the way back from names. Must not do I/O. Neighbour: `index`.
"""

from holdfast_operator.reconcile.names import References

Named = tuple[str, str, str]
"""Namespace, what it is (`secret` or `config map`), name."""


class Referrers:
    """Clients in, with what they refer to; out those that name a thing."""

    def __init__(self) -> None:
        self._clients: dict[Named, set[str]] = {}

    def note(self, namespace: str, client: str, before: References | None, after: References | None) -> None:
        """The client referred to `before`, and does to `after`; None: it is not there."""
        old, new = _named(namespace, before), _named(namespace, after)
        for thing in old - new:
            self._clients[thing].discard(client)
            if not self._clients[thing]:
                del self._clients[thing]
        for thing in new - old:
            self._clients.setdefault(thing, set()).add(client)

    def of_secret(self, namespace: str, name: str) -> frozenset[str]:
        """Names of the clients whose certificate goes into that Secret."""
        return frozenset(self._clients.get((namespace, "secret", name), ()))

    def of_config_map(self, namespace: str, name: str) -> frozenset[str]:
        """Names of the clients that keep something in that ConfigMap."""
        return frozenset(self._clients.get((namespace, "config map", name), ()))


def _named(namespace: str, refers: References | None) -> set[Named]:
    if refers is None:
        return set()
    secret = {(namespace, "secret", refers.secret_name)} if refers.secret_name is not None else set()
    return secret | {(namespace, "config map", name) for name in refers.config_maps}
