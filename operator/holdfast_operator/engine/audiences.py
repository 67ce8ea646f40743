"""Who asks for an audience, and whose it is, as events show it: from an API to the clients that have to look again.

What counts is the registry's word, which the API's status repeats when it has been written, so clients look after that
and not when the manifest changes. Must not do I/O. Neighbour: `index`, which owns it.
"""

from dataclasses import dataclass
from typing import Any

from holdfast_operator.reconcile.names import audiences, mapping, references
from holdfast_operator.reconcile.ports import Key, Object


@dataclass(frozen=True, slots=True)
class _Api:
    """`audiences`: all that the registry may have as its own. `registration`: of its status."""

    audiences: frozenset[str]
    registration: Any


_NO_API = _Api(frozenset(), None)


class Audiences:
    """Clients in, and out those that name what is theirs."""

    def __init__(self) -> None:
        self._resources: dict[Key, frozenset[str]] = {}
        self._requesters: dict[str, set[Key]] = {}
        self._apis: dict[Key, _Api] = {}

    def observe(self, key: Key, client: Object | None) -> set[Key]:
        """Take in a client (None: deleted); answers who names an audience that is, was or is no longer its own."""
        self._note_resources(key, frozenset() if client is None else references(client).resources)
        before = self._apis.pop(key, _NO_API)
        after = _NO_API if client is None else _api(client)
        concerned = before.audiences | after.audiences
        registered_anew = before.registration != after.registration
        if client is not None and concerned:
            kept = after.audiences if registered_anew and _is_current(client) else concerned
            self._apis[key] = _Api(kept, after.registration)
        if not registered_anew and client is not None:
            return set()
        return {requester for audience in concerned for requester in self._requesters.get(audience, ())}

    def requesters(self) -> set[Key]:
        """Every client that names a resource."""
        return set(self._resources)

    def _note_resources(self, key: Key, resources: frozenset[str]) -> None:
        before = self._resources.pop(key, frozenset())
        for resource in before - resources:
            self._requesters[resource].discard(key)
            if not self._requesters[resource]:
                del self._requesters[resource]
        for resource in resources - before:
            self._requesters.setdefault(resource, set()).add(key)
        if resources:
            self._resources[key] = resources


def _api(client: Object) -> _Api:
    return _Api(audiences(client), mapping(client.get("status")).get("registration"))


def _is_current(client: Object) -> bool:
    """Whether its status is of the spec beside it: before that, the registry may still have an older one."""
    return bool(mapping(client.get("status")).get("observedGeneration") == client["metadata"].get("generation"))
