"""The custom resources of `holdfast.dev/v1alpha1`: their types, and everything that is made from the types.

Owns: fields with their meaning, limits, defaults and rules (`oauth_client`, `mtls_policy`), conditions and reasons
(`conditions`), the structural schema (`crd`), its evaluation without an API server (`validation`), and the way from a
dict to a typed value (`convert`). Must not talk to a cluster or decide what a policy allows (`holdfast.policy`).
"""

GROUP = "holdfast.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
