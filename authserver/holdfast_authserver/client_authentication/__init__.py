"""Who is asking: one file for each authentication method, and one place that picks it from the client's record.

Owns what a request presents and what that proves. Must not know grants or policies; a client that is who it says may
still be refused elsewhere. Neighbours: `holdfast.x509` judges certificates, `registry/` knows the clients.
"""
