"""The keys that stand for a client's own certificates: the newest, and for a while those that it has replaced.

A renewal must turn nobody away: until the new Secret has arrived in every pod, requests come with the old key, so both are
registered. An old one gets an end (`exp`) when its successor is registered; the server takes it no longer than that, and
it leaves the registration when it is over. When it ends stands in the registration, so a restart forgets nothing; where
the registration is lost, the CertificateRequest of the revision before stands in. Pure.
Neighbours: `issued` reads what was issued, `certificate` judges it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from holdfast.api.v1alpha1.convert import duration_seconds
from holdfast.oauth.certificate_key import certificate_key
from holdfast.oauth.jwks import Jwk
from holdfast.policy.model import EffectivePolicy
from holdfast.x509.certificate import Certificate
from holdfast_operator.reconcile.issued import timestamp
from holdfast_operator.reconcile.observed import Observed, RegistrySeen
from holdfast_operator.reconcile.request import ClientRequest

REVISION = "holdfast.dev/revision"
"""Member of a key that was made of a certificate: the Certificate's revision. Keys without it are the client's own."""
MAX_FORMER = 16
"""How many replaced certificates are taken at a time; more renewals than this within one token's life end the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A certificate that was issued: of which revision, and when."""

    certificate: Certificate
    revision: int
    issued_at: datetime

    def key(self, **members: int) -> Jwk:
        """Raises JwkError for a certificate whose key has no form as a JWK."""
        return certificate_key(self.certificate, **{REVISION: self.revision, **members})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """`overlap`: how long a replaced certificate is taken. `beyond_end`: it counts outside its validity as well."""

    now: datetime
    overlap: timedelta
    beyond_end: bool = False

    def published(self, newest: Leaf, previous: Leaf | None, registered: Iterable[Jwk]) -> tuple[Jwk, ...]:
        """What to register, the newest first. `registered`: the keys of the registration as it is. Raises JwkError."""
        current = newest.key()
        ours = [key for key in registered if is_published(key)]
        followed = [key for key in ours if key.kid != current.kid and _is_followed(key, newest)]
        former = [_ending(key, self.now + self.overlap) for key in followed]
        if not ours and previous is not None:
            former = [previous.key(exp=_seconds(newest.issued_at + self.overlap))]
        still = [key for key in former if self._counts(key)]
        return (current, *sorted(still, key=_end, reverse=True)[:MAX_FORMER])

    def _counts(self, key: Jwk) -> bool:
        certificate = key.certificate
        lasts = self.beyond_end or (certificate is not None and self.now < certificate.not_after)
        return lasts and key.counts_at(self.now)


def is_published(key: Jwk) -> bool:
    """Whether it was made of a certificate here, and not named by the client."""
    return isinstance(key.to_json().get(REVISION), int)


def rotation(observed: Observed, request: ClientRequest, policy: EffectivePolicy) -> Rotation:
    """A certificate that was replaced is taken until the last token that was got before has ended."""
    spec = request.client.spec
    seen = observed.registry
    lifetime = seen.token_lifetime if isinstance(seen, RegistrySeen) else 0
    if spec.tokens.lifetime is not None:
        lifetime = duration_seconds(spec.tokens.lifetime)
    if policy.max_lifetime is not None:
        lifetime = min(lifetime, policy.max_lifetime)
    return Rotation(
        now=observed.now,
        overlap=timedelta(seconds=max(lifetime, observed.settings.rotation_overlap)),
        beyond_end=bool(spec.authentication.accept_expired_certificate),
    )


def first_end(keys: Iterable[Jwk]) -> datetime | None:
    """When the first of them ends by its `exp`; None: none does."""
    return min((key.expires_at for key in keys if key.expires_at is not None), default=None)


def told(keys: Iterable[Jwk]) -> str:
    """What a condition says of the replaced ones; empty when there are none."""
    former = [f"{key.kid} until {timestamp(key.expires_at)}" for key in keys if key.expires_at is not None]
    return f"; the one before is still taken: {', '.join(former)}" if former else ""


def _is_followed(key: Jwk, newest: Leaf) -> bool:
    """Whether it is the one before, or was told its end then: what a restored registry still has of long ago is not."""
    return key.expires_at is not None or int(key.to_json()[REVISION]) >= newest.revision - 1


def _ending(key: Jwk, end: datetime) -> Jwk:
    return key if key.expires_at is not None else Jwk.from_json({**key.to_json(), "exp": _seconds(end)})


def _end(key: Jwk) -> float:
    return key.expires_at.timestamp() if key.expires_at else 0.0


def _seconds(moment: datetime) -> int:
    return ceil(moment.timestamp())
