"""The keys of the server: what signs its tokens, what seals its opaque ones, how they rotate, and where they are kept.

Owns: algorithms, the ring of a registry instance, rotation, stores and encryption at rest. Must not know claims, clients
or HTTP. Neighbours: `tokens.py` (what is signed), `endpoints/documents.py` (the published set), `registry` (the instance).

In order of reading: `algorithms` and `signing_key` (one key), `sealing_key` (one that seals), `book` (all keys of an
instance as a value), `rotation` (how a book changes), `view` (which key does what at a moment), `envelope` and
`folder_store` / `table_store` (how a book is kept), `ring` (what the rest of the server holds), `follower` (its loop).
"""
