"""OAuth vocabulary: error codes, client metadata, claims and messages, as values.

Owns the registered words and their parsing. Must not decide (policy), sign, store or serve.
Neighbours: `holdfast.x509` below, `holdfast.policy` above.
"""
