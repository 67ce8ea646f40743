"""What a plan may ask for. Each action is idempotent and can be tried again by itself."""

from dataclasses import dataclass

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast_operator.reconcile.ports import Object

FINALIZER = "holdfast.dev/registry"
"""On an OAuthClient exactly while there is a registration, or is about to be one."""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Hold the object: something outside the cluster will have to be removed with it."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the object go."""


@dataclass(frozen=True, slots=True)
class ApplyCertificate:
    """Have cert-manager issue, or issue differently."""

    certificate: Object


@dataclass(frozen=True, slots=True)
class RenewCertificate:
    """Have cert-manager issue once more. `certificate`: the Certificate with the status that asks for it."""

    certificate: Object


@dataclass(frozen=True, slots=True)
class DeleteCertificate:
    """The client brings its own now, or the Certificate was a former client's."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class PutClient:
    """Register, with the policy that rules the client put first. `adopt`: an orphan has the client id, and is taken over."""

    metadata: ClientMetadata
    policy: EffectivePolicy
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class DeleteClient:
    """Refuse the client from now on. `uid`: of the object the registration was made from."""

    client_id: str
    uid: str


@dataclass(frozen=True, slots=True)
class ReleaseClient:
    """Let the registration go on as nobody's. `uid`: as above."""

    client_id: str
    uid: str


RegistryAction = PutClient | DeleteClient | ReleaseClient
Action = AddFinalizer | RemoveFinalizer | ApplyCertificate | RenewCertificate | DeleteCertificate | RegistryAction


@dataclass(frozen=True, slots=True)
class Event:
    """Something people should hear of once."""

    warning: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`actions` in order. `status`: the whole of it as it should read, None: leave it alone. `requeue_after`: seconds.

    `retry`: something could not be reached, so the next pass comes by back-off.
    """

    actions: tuple[Action, ...] = ()
    status: Object | None = None
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    retry: bool = False
