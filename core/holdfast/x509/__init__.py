"""X.509: certificates, thumbprints, names, subject rules and path validation, as functions of values.

Owns every judgement about a certificate. Must not know OAuth, policy, sockets or a clock. Imports nothing of Holdfast.
"""
