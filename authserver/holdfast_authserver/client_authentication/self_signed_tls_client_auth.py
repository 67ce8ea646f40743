"""`self_signed_tls_client_auth` (RFC 8705 section 2.2): the certificate is, as a whole, one that the client registered.

No path, no issuer, no extension means anything here (M-39), and what such a certificate has signed is worth nothing
(M-44). Nothing of what a peer sent is parsed: a match is one of ours, which was parsed when it was registered.
"""

from datetime import datetime

from holdfast.oauth.errors import InvalidClient
from holdfast.oauth.jwks import Jwk
from holdfast.oauth.refusal import Refusal
from holdfast.x509.certificate import Certificate
from holdfast.x509.thumbprint import thumbprints_equal
from holdfast_authserver.client_authentication.presented import PresentedCredentials
from holdfast_authserver.client_authentication.proof import Proof
from holdfast_authserver.client_authentication.registered_keys import RegisteredKeys
from holdfast_authserver.registry.snapshot import ServedClient

NAME = "self_signed_tls_client_auth"


class SelfSignedTlsClientAuth:
    """The method; `keys` finds what a client registered."""

    def __init__(self, keys: RegisteredKeys) -> None:
        self._keys = keys

    async def verify(self, client: ServedClient, presented: PresentedCredentials, at: datetime) -> Proof:
        """No end counts for a client whose certificate is taken beyond it (M-40). Raises InvalidClient."""
        chain = presented.chain
        if chain is None:
            raise InvalidClient("no client certificate on the connection", reason=Refusal.NO_CERTIFICATE)
        thumbprint = chain.thumbprint  # of the leaf alone, whatever was sent besides (M-46)
        certificate = await self._keys.find(client, lambda keys: registered_certificate(keys, thumbprint, at), at)
        if certificate is None:
            raise InvalidClient(
                f"certificate {thumbprint} is none of those the client registered",
                reason=Refusal.CERTIFICATE_NOT_REGISTERED,
            )
        if client.metadata.accept_expired_certificate:
            return Proof(None)
        if not certificate.not_before <= at <= certificate.not_after:
            raise InvalidClient(
                f"the registered certificate {thumbprint} is valid from {certificate.not_before.isoformat()}"
                f" to {certificate.not_after.isoformat()}",
                reason=Refusal.CERTIFICATE_EXPIRED,
            )
        return Proof(certificate.not_after)


def registered_certificate(keys: tuple[Jwk, ...], thumbprint: str, at: datetime) -> Certificate | None:
    """The registered certificate with this SHA-256 over its DER, compared in constant time.

    Keys without one are skipped, and those that have ended by their own `exp`: such is one that a renewal has replaced.
    """
    found = None
    for key in keys:
        certificate = key.certificate
        if certificate is not None and thumbprints_equal(certificate.x5t_s256, thumbprint) and key.counts_at(at):
            found = certificate
    return found
