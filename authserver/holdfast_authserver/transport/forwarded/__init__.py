"""The client's certificate as a TLS terminator forwards it in a header: RFC 9440, and what terminators had before it.

Owns one parser for each format, which headers of a request count, who may send them, and the ASGI application that
puts the result where a direct connection has it, so that nothing behind knows the difference. Must not judge the
client's certificate: that a terminator says it did is ignored. Neighbours: `transport.presented` names the result.
"""
