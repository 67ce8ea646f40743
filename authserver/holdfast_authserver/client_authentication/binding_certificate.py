"""The certificate on the connection of a client that proves itself in another way: until when may a token be bound to it.

It is nobody's credential, so nothing about it is judged but that it can be read and is within its validity period. Read
once for many requests, since the connection outlives them.
"""

from datetime import UTC, datetime

from holdfast.x509.certificate import Certificate, CertificateError
from holdfast_authserver.transport.presented import PresentedChain

_MAX_REMEMBERED = 8192  # under 2 MB: a thumbprint and two moments each
_NEVER = datetime.min.replace(tzinfo=UTC)
_Period = tuple[datetime, datetime]


class BindingCertificates:
    """Remembers the validity periods of certificates by thumbprint."""

    def __init__(self) -> None:
        self._periods: dict[str, _Period] = {}

    def end_of(self, chain: PresentedChain, at: datetime) -> datetime | None:
        """When the leaf ends; None when no token can be bound to it at this moment."""
        period = self._periods.get(chain.thumbprint)
        if period is None:
            period = self._remember(chain)
        begin, end = period
        return end if begin <= at < end else None

    def _remember(self, chain: PresentedChain) -> _Period:
        if len(self._periods) >= _MAX_REMEMBERED:
            del self._periods[next(iter(self._periods))]
        period = self._periods[chain.thumbprint] = _period(chain.ders[0])
        return period


def _period(der: bytes) -> _Period:
    try:
        certificate = Certificate.from_der(der)
    except CertificateError:
        return _NEVER, _NEVER
    return certificate.not_before, certificate.not_after
