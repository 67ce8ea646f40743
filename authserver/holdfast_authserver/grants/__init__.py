"""What an authenticated client may have: one file for each grant type, with a name and one function.

Owns audience, scope and lifetime of a token to be. Must not authenticate, sign or write responses.
Neighbours: `holdfast.policy` decides, `client_authentication/` before it, `tokens.py` after it.
"""
