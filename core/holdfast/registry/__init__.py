"""The registry as its writer and its keeper both see it: records, the port, its errors, their JSON form.

Owns the words of the admin API. The authorization server keeps the registry and implements the port; the operator
calls it, in the process (`holdfast dev`) or over mutual TLS, and cannot tell which. Stores nothing itself.
Neighbours: `holdfast.policy` below.
"""
