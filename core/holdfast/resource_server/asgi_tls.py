"""Makes uvicorn tell the application which certificate the client has shown, as the ASGI TLS extension says it.

For APIs that serve TLS by themselves with the standard library's `ssl`. Must not import uvicorn: the caller, who has
it, hands over the protocol class.

    from uvicorn.protocols.http.h11_impl import H11Protocol

    context = client_certificate_context("tls.crt", "tls.key", client_ca_file="ca.crt")
    config = uvicorn.Config(app, http=telling_client_certificate(H11Protocol), ssl_certfile="tls.crt",
                            ssl_keyfile="tls.key", ssl_context_factory=lambda _config, _default: context)

The standard library ends the handshake of a client whose certificate leads to none of `client_ca_file`; that client
sees a TLS alert where another one would see 401. The token is judged by `middleware` either way.
"""

import ssl
from pathlib import Path
from typing import Any


def client_certificate_context(
    certificate_file: str | Path, key_file: str | Path, *, client_ca_file: str | Path
) -> ssl.SSLContext:
    """A server's context that asks for a client certificate and lets a client without one in (RFC 8705 section 6.2).

    Raises OSError, ssl.SSLError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, key_file)
    context.load_verify_locations(client_ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would skip the proof of possession
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    return context


def telling_client_certificate(protocol: type[Any]) -> type[Any]:
    """uvicorn's `H11Protocol` or `HttpToolsProtocol`, with `extensions.tls` in every scope of its connections."""

    class ClientCertificateProtocol(protocol):  # type: ignore[misc]
        app: Any

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            extension, inner = _tls_extension(transport.get_extra_info("ssl_object")), self.app

            async def with_extension(scope: Any, receive: Any, send: Any) -> None:
                await inner({**scope, "extensions": {**scope.get("extensions", {}), **extension}}, receive, send)

            self.app = with_extension

    return ClientCertificateProtocol


def _tls_extension(ssl_object: ssl.SSLObject | None) -> dict[str, Any]:
    if ssl_object is None:
        return {}
    der = ssl_object.getpeercert(binary_form=True)
    chain = () if der is None else (ssl.DER_cert_to_PEM_cert(der),)
    unknown = dict.fromkeys(("server_cert", "client_cert_name", "client_cert_error", "tls_version", "cipher_suite"))
    return {"tls": {**unknown, "client_cert_chain": chain}}
