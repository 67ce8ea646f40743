"""`tls_client_auth` (RFC 8705 section 2.1): a path to an anchor pinned for this client, and the one registered subject.

Verdicts are remembered by certificate and client, and hold only as long as the very record they were made from is
served and the validity window of the path lasts: a changed anchor, subject or policy is a new record.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.oauth.errors import InvalidClient
from holdfast.x509.certificate import Certificate, CertificateError, PeerCertificate
from holdfast.x509.chain import MAX_CHAIN, PathError, verify_path
from holdfast.x509.subject import SubjectMismatch, verify_subject
from holdfast_authserver.client_authentication.presented import PresentedCredentials
from holdfast_authserver.registry.snapshot import ServedClient
from holdfast_authserver.transport.presented import PresentedChain

NAME = "tls_client_auth"
_MAX_VERDICTS = 8192  # about 8 MB at worst: certificates are remembered by digest, reasons are cut short
_MAX_REASON = 500  # characters; a certificate may hold thousands of names
_CLOCK_SKEW = timedelta(seconds=5)  # an issuer a little ahead has just made this one (M-17); ends are never stretched
_REFUSAL_HOLDS = timedelta(seconds=10)  # so that a storm of bad requests costs no path validation each


@dataclass(frozen=True, slots=True)
class _Verdict:
    """`refusal` None: accepted, and `expires` is the leaf's end."""

    client: ServedClient
    valid_from: datetime
    valid_until: datetime
    expires: datetime
    refusal: str | None


class TlsClientAuth:
    """The method, with the verdicts it remembers."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[str, bytes], _Verdict] = {}

    async def verify(self, client: ServedClient, presented: PresentedCredentials, at: datetime) -> datetime:
        """Answers with the end of the certificate. Raises InvalidClient."""
        chain = presented.chain
        if chain is None:
            raise InvalidClient("no client certificate on the connection")
        key = (client.metadata.client_id, chain.digest)
        verdict = self._verdicts.get(key)
        if verdict is None or verdict.client is not client or not verdict.valid_from <= at <= verdict.valid_until:
            verdict = self._remember(key, _judge(client, chain, at))
        if verdict.refusal is not None:
            raise InvalidClient(verdict.refusal)
        return verdict.expires

    def _remember(self, key: tuple[str, bytes], verdict: _Verdict) -> _Verdict:
        self._verdicts.pop(key, None)
        if len(self._verdicts) >= _MAX_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = verdict
        return verdict


def _judge(client: ServedClient, chain: PresentedChain, at: datetime) -> _Verdict:
    try:
        peer = _parse(chain)
        begun = min(max(at, peer.leaf.not_before), at + _CLOCK_SKEW)
        path = verify_path(peer, client.anchors, at=begun, require_client_auth_usage=False)  # but clientAuth if any (M-18)
        if client.metadata.subject is None:
            raise PathError("the client has no subject rule")
        verify_subject(peer.leaf, client.metadata.subject)  # of the leaf alone (M-12)
    except (CertificateError, PathError, SubjectMismatch) as error:
        return _Verdict(client, at, at + _REFUSAL_HOLDS, at, f"certificate refused: {str(error)[:_MAX_REASON]}")
    return _Verdict(client, min(at, path.valid_from), path.valid_until, peer.leaf.not_after, None)


def _parse(chain: PresentedChain) -> PeerCertificate:
    if len(chain.ders) > MAX_CHAIN + 1:
        raise PathError(f"expected at most {MAX_CHAIN} certificates besides the leaf, found {len(chain.ders) - 1}")
    leaf, *others = map(Certificate.from_der, chain.ders)
    return PeerCertificate(leaf, tuple(others))
