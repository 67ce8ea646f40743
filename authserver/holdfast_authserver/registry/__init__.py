"""The registry as the server keeps it: a durable store, and the immutable snapshot that requests are served from.

Owns: the SQLite file and its migrations, the rules a registration must keep, fencing of writers, revoked tokens, and
the change feed. Must not know HTTP (see `admin`) or how a token is made. Neighbours: `holdfast.registry` (the port that
the operator writes through), `holdfast.policy` below.
"""
