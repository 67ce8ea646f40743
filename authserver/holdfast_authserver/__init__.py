"""The authorization server: RFC 6749 token issuing with RFC 8705 in full.

Knows clients and policies as values, never Kubernetes.
"""
