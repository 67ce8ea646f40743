"""How a TLS handshake ended, in a word out of a closed set, for metrics.

Owns the words. What a peer sends decides which of them, never what they are.
"""

import ssl

STARTED, OK = "started", "ok"
FAILED = "failed"
"""For another cause than those below."""

_BY_TEXT = {
    "unsupported protocol": "protocol_version",
    "version too low": "protocol_version",
    "wrong version number": "no_tls",
    "http request": "no_tls",
    "packet length too long": "no_tls",
    "no shared cipher": "no_shared_cipher",
    "no suitable signature algorithm": "no_shared_signature",
    "no shared signature algorithms": "no_shared_signature",
    "no suitable key share": "no_shared_group",
    "alert": "refused_by_peer",
}
"""What OpenSSL calls it, and the word for that. The first that is found counts."""


def failure(error: ssl.SSLError) -> str:
    """The word for an error that ended a handshake. `left`: the peer closed the connection during it."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "left"
    text = str(error).lower()
    return next((word for part, word in _BY_TEXT.items() if part in text), FAILED)
