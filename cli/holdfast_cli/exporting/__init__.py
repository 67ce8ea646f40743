"""What is there, as manifests: the objects of a cluster or a `holdfast dev`, or the registrations of a server.

Owns what of an object or a registration people would write. Reads only; secrets are in none of them.
"""
