"""The admin API: the registry's port over mutual TLS, for the operator alone.

Owns paths, the check of who calls, bodies and status codes. Must not decide what may be registered (see `registry`).
Neighbours: `holdfast.registry.wire` (forms), `holdfast_operator.adapters.admin_api` (the other end).
"""
