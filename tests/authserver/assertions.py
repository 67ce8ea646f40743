"""A client that authenticates by `private_key_jwt`, and so needs no certificate to be known."""

import json
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from holdfast.clock import system_clock
from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.oauth.jwks import parse_jwk_set
from holdfast.policy.model import MTLS_METHODS, EffectivePolicy
from tests.authserver.running import RunningServer, client

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ANY_METHOD = EffectivePolicy(
    trust_domain="cluster.local",
    cluster_domain="cluster.local",
    allowed_methods=MTLS_METHODS | {"private_key_jwt"},
    require_certificate_bound=False,
)
"""A policy under which a client may use `private_key_jwt`, and unbound tokens."""


class AssertingClient:
    """Its key, its registration, and the form of a request."""

    def __init__(self, client_id: str = "shop.asserting") -> None:
        self.client_id = client_id
        self._key = ec.generate_private_key(ec.SECP256R1())

    def registration(self, **changes: Any) -> ClientMetadata:
        public: dict[str, Any] = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        jwks = parse_jwk_set({"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]})
        method: Any = {"token_endpoint_auth_method": "private_key_jwt", "subject": None, "jwks": jwks}
        return client(self.client_id, anchors=[], **(method | changes))

    def form(self, server: RunningServer, **form: str) -> dict[str, str]:
        return self.form_for(server.issuer, **form)

    def form_for(self, issuer: str, **form: str) -> dict[str, str]:
        """With a new assertion for this issuer."""
        now = int(system_clock().timestamp())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": issuer, "jti": str(uuid.uuid4()),
                  "iat": now, "exp": now + 60}  # fmt: skip
        assertion = jwt.PyJWS().encode(json.dumps(claims).encode(), self._key, "ES256", {"kid": "one", "typ": "JWT"})
        return {"client_id": self.client_id, "client_assertion_type": TYPE, "client_assertion": assertion, **form}
