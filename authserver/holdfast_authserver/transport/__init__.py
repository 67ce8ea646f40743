"""TLS and HTTP as this server speaks them: any client certificate is let in, and the application judges.

Owns the TLS context on pyOpenSSL, the uvicorn protocols that put the presented certificates into the ASGI scope, the
limits on connections, and the listeners. Must not know clients, tokens or policies: it proves possession of a key
(RFC 8705 section 2) and says nothing about whose it is.
"""
