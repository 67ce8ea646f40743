"""The status of a client, whole, as it should read after a pass.

Owns its form, and what stays from the last pass while the registry cannot be asked. Pure. Neighbour: `conditions`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.records import StoredClient
from holdfast_operator.reconcile.conditions import conditions
from holdfast_operator.reconcile.effective_status import effective_policy_status
from holdfast_operator.reconcile.finding import Finding, fine, unjudged
from holdfast_operator.reconcile.issued import moment, timestamp
from holdfast_operator.reconcile.names import client_id_of, mapping
from holdfast_operator.reconcile.observed import Observed, RegistrySeen
from holdfast_operator.reconcile.ports import Object

TOKEN_TIME_STEP = timedelta(days=1)
"""`lastTokenTime` moves in steps of at least this, so that a busy client costs one write a day."""


def build_status(
    observed: Observed,
    found: Mapping[ConditionType, Finding],
    *,
    policy: EffectivePolicy,
    certificate: Object | None,
    stored: StoredClient | None,
) -> Object:
    """The complete status; what is absent from it is to be absent from the object."""
    client = observed.client
    generation = int(client["metadata"].get("generation") or 0)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "clientId": client_id_of(client),
        "conditions": conditions(found, client, generation, observed.now),
        "effectivePolicy": effective_policy_status(policy, client),
    }
    if certificate is not None:
        status["certificate"] = certificate
    return {**status, **_of_registry(observed, stored), **_token_time(observed, stored)}


def _of_registry(observed: Observed, stored: StoredClient | None) -> Object:
    before = mapping(observed.client.get("status"))
    if not isinstance(observed.registry, RegistrySeen):
        return {k: before[k] for k in ("registration", "endpoints") if k in before}
    endpoints = observed.registry.endpoints
    found: Object = {
        "endpoints": {
            "issuer": endpoints.issuer,
            "tokenEndpoint": endpoints.token_endpoint,
            "introspectionEndpoint": endpoints.introspection_endpoint,
        }
    }
    if stored is not None:
        found["registration"] = {"revision": stored.revision, "lastSyncTime": timestamp(stored.updated_at)}
    return found


def token_issued(observed: Observed, stored: StoredClient | None) -> Finding:
    """Whether the client ever got a token. What was once seen stays true."""
    if mapping(observed.client.get("status")).get("lastTokenTime") or (stored and stored.last_token_at):
        return fine(Reason.TOKEN_ISSUED, "the client has got a token")
    if not isinstance(observed.registry, RegistrySeen):
        return unjudged(Reason.REGISTRY_UNAVAILABLE, "the server could not be asked")
    return Finding(False, Reason.NO_TOKEN_YET, "the client has not got a token yet")


def _token_time(observed: Observed, stored: StoredClient | None) -> Object:
    shown = mapping(observed.client.get("status")).get("lastTokenTime")
    before, seen = moment(shown), stored.last_token_at if stored else None
    if seen is not None and (before is None or seen - before >= TOKEN_TIME_STEP):
        return {"lastTokenTime": timestamp(seen)}
    return {"lastTokenTime": shown} if before is not None else {}


def is_same_status(wanted: Object, live: Object) -> bool:
    """Whether writing the status would change nothing. The order of conditions means nothing."""
    return _normal(wanted) == _normal(live)


def _normal(status: Mapping[str, Any]) -> Object:
    listed = status.get("conditions") or ()
    return {**_filled(status), "conditions": {c["type"]: dict(c) for c in listed}}


def _filled(value: Mapping[str, Any]) -> Object:
    """Without members that say nothing, which a schema's default may have added."""
    shrunk = {k: _filled(v) if isinstance(v, Mapping) else v for k, v in value.items() if k != "conditions"}
    return {k: v for k, v in shrunk.items() if v not in ("", None, [], {})}
