"""Where objects and registry live: each adapter implements a port of `reconcile` or of `holdfast.registry`.

Owns the ways to an API server, to a folder of YAML and to the admin API. Decides nothing about a client or a policy.
"""
