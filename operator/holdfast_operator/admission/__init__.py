"""Admission: what the API server asks about our kinds before it stores them. Validation only.

Owns the judgement of a change (`judge`, pure), the warm stores that it looks into, and the HTTPS listener that answers.
A rule is never written here: `reconcile` and `holdfast.policy` own them, and judge again afterwards. A mutating webhook
would be a module of its own beside these, and another route in `app`.
"""
