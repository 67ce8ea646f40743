"""A token request that repeats an earlier one, and what was decided then.

A machine client sends the same form over the same certificate for each of its tokens, and while nothing has changed that
the decision was made from, the decision is the same. Owns what that is: the clients that are served with their policies,
the owners of audiences, the denied certificates, the time up to which the certificate proves who it is. Forgets everything
when any of it changes; what proves more than a certificate, or names more than a machine's request does, is never here.
Neighbours: `token.py` asks first and tells it what was decided; only what `parse_form` keeps, which holds no secret, counts.
"""

from datetime import datetime
from typing import NamedTuple

from holdfast.oauth.messages import Form
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.grants.grant import Granted
from holdfast_authserver.registry.snapshot import Snapshot

_MAX_KEPT = 4096  # a kilobyte each


class Decided(NamedTuple):
    """Who asked, and what is granted."""

    client: AuthenticatedClient
    granted: Granted


class Repeats:
    """Of one process."""

    def __init__(self) -> None:
        self._basis: tuple[object, ...] = ()
        self._kept: dict[tuple[Form, bytes], tuple[datetime, datetime, Decided]] = {}

    def find(self, received: Received, snapshot: Snapshot, at: datetime) -> Decided | None:
        """What was decided for the same request, if it would be decided so again."""
        form, chain = received.form, received.chain
        if form is None or chain is None or received.authorization is not None or not self._is_basis(snapshot):
            return None
        kept = self._kept.get((form, chain.digest))
        return kept[2] if kept is not None and kept[0] <= at <= kept[1] else None

    def keep(self, received: Received, snapshot: Snapshot, at: datetime, decided: Decided) -> None:
        """`snapshot`: what the decision was made from, from its beginning to its end."""
        form, chain, until = received.form, received.chain, decided.client.holds_until
        if form is None or not form.is_kept or chain is None or until is None or received.authorization is not None:
            return
        if not self._is_basis(snapshot) or len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
            self._basis = _basis(snapshot)
        self._kept[form, chain.digest] = (at, until, decided)

    def _is_basis(self, snapshot: Snapshot) -> bool:
        """By identity: a snapshot takes over from the one before what has not changed."""
        basis = self._basis
        return bool(basis) and all(a is b for a, b in zip(basis, _basis(snapshot), strict=True))


def _basis(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.clients, snapshot.owners, snapshot.denied_thumbprints
