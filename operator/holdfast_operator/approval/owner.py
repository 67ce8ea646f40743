"""From a CertificateRequest to the OAuthClient that it was made for, and what that client may have.

Owns the walk along ownerReferences: names and uids have to fit at every step. An owner can be written down by anybody who
may create a request, so it proves nothing: it only says whose rights are looked at, which are of the request's own
namespace, and is followed for requests of cert-manager alone. Objects come through the port, which answers from the
operator's mirror: as fresh as its events and listings. Neighbours: `claim` judges, `holders` knows rivals.
"""

from holdfast.x509.subject import SubjectRule
from holdfast_operator.approval.claim import NoClaim, claim_of
from holdfast_operator.approval.holders import Holders
from holdfast_operator.approval.judge import Claim
from holdfast_operator.approval.request import owner_of
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import ClusterReads, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings


class Owners:
    """Reads through the port; keeps nothing but the ConfigMaps of policies, for a while."""

    def __init__(
        self, cluster: ClusterReads, config_maps: PolicyConfigMaps, holders: Holders, settings: ReconcileSettings
    ) -> None:
        self._cluster, self._config_maps, self._holders, self._settings = cluster, config_maps, holders, settings

    async def claim_behind(self, request: Object, issuer: str) -> Claim | NoClaim | None:
        """None: no OAuthClient of this namespace asked for it. Raises ClusterUnavailable."""
        certificate = await self._owner(request, Kind.CERTIFICATE)
        client = None if certificate is None else await self._owner(certificate, Kind.OAUTH_CLIENT)
        if client is None:
            return None
        claim = await self._claim(client, issuer)
        if isinstance(claim, NoClaim) or claim.subject is None:
            return claim
        rival = await self._rival(client, issuer, claim.subject)
        if rival is None:
            return claim
        found = f"{claim.subject.value} is held by OAuthClient {rival.namespace}/{rival.name}"
        return NoClaim(f"spec.authentication.subject.{claim.subject.kind}: {found}: name another subject")

    async def learn_holders(self) -> None:
        """Take in every client: one whose event has not come yet would hold nothing. Raises ClusterError."""
        self._holders.begin_listing()
        self._holders.take_in(await self._cluster.list(Kind.OAUTH_CLIENT))

    async def _claim(self, client: Object, issuer: str) -> Claim | NoClaim:
        place = await self._cluster.get(Kind.NAMESPACE, "", client["metadata"]["namespace"]) or {"metadata": {}}
        policies = await self._cluster.list(Kind.MTLS_POLICY)
        sources = await self._config_maps.of(policies)
        in_effect = [in_force(policy, sources) for policy in policies]
        return claim_of(client, issuer, in_effect, dict(place["metadata"].get("labels") or {}), self._settings)

    async def _rival(self, client: Object, issuer: str, subject: SubjectRule) -> Key | None:
        """The client of another namespace that has the subject; None: this one has it, or another of its namespace.

        Who may not have it itself keeps nobody from it, or anybody could block a name by writing it down; but who is
        registered with it does, until the registration is withdrawn.
        """
        self._holders.observe(client)
        passed: set[Key] = set()
        while first := next((k for k in self._holders.before(client, issuer, subject) if k not in passed), None):
            found = await self._cluster.get(Kind.OAUTH_CLIENT, first.namespace, first.name)
            self._holders.observe(found or _gone(first), deleted=found is None)
            still = first in self._holders.before(client, issuer, subject)
            if found is not None and still and await self._may_have_it(found, first, issuer):
                return first if first.namespace != client["metadata"]["namespace"] else None
            passed.add(first)
        return None

    async def _may_have_it(self, client: Object, key: Key, issuer: str) -> bool:
        return self._holders.is_registered(key) or isinstance(await self._claim(client, issuer), Claim)

    async def _owner(self, child: Object, kind: Kind) -> Object | None:
        """The object of that kind that controls the child, where it is still the one that it was."""
        named = owner_of(child, kind)
        if named is None:
            return None
        name, uid = named
        found = await self._cluster.get(kind, child["metadata"]["namespace"], name)
        return found if found is not None and found["metadata"].get("uid") == uid else None


def _gone(key: Key) -> Object:
    return {"metadata": {"namespace": key.namespace, "name": key.name}}
