"""From a CertificateRequest to the OAuthClient that it was made for, read live, and what that client may have.

Owns the walk along ownerReferences: names and uids have to fit at every step. An owner can be written down by anybody who
may create a request, so it proves nothing: it only says whose rights are looked at, which are of the request's own
namespace, and is followed for requests of cert-manager alone. Neighbours: `claim` judges, `holders` knows rivals.
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
        place = await self._cluster.get(Kind.NAMESPACE, "", client["metadata"]["namespace"]) or {"metadata": {}}
        policies = await self._cluster.list(Kind.MTLS_POLICY)
        sources = await self._config_maps.of(policies)
        claim = claim_of(
            client,
            issuer,
            [in_force(policy, sources) for policy in policies],
            dict(place["metadata"].get("labels") or {}),
            self._settings,
        )
        if isinstance(claim, NoClaim) or claim.subject is None:
            return claim
        rival = await self._rival(client, issuer, claim.subject)
        if rival is None:
            return claim
        found = f"{claim.subject.value} is held by OAuthClient {rival.namespace}/{rival.name}"
        return NoClaim(f"spec.authentication.subject.{claim.subject.kind}: {found}: name another subject")

    async def _rival(self, client: Object, issuer: str, subject: SubjectRule) -> Key | None:
        """As the rival's object is now: a deletion may have gone unseen."""
        self._holders.observe(client)
        while rival := self._holders.rival(client, issuer, subject):
            found = await self._cluster.get(Kind.OAUTH_CLIENT, rival.namespace, rival.name)
            gone = {"metadata": {"namespace": rival.namespace, "name": rival.name}}
            self._holders.observe(found or gone, deleted=found is None)
            if self._holders.rival(client, issuer, subject) == rival:
                return rival
        return None

    async def _owner(self, child: Object, kind: Kind) -> Object | None:
        """The object of that kind that controls the child, where it is still the one that it was."""
        named = owner_of(child, kind)
        if named is None:
            return None
        name, uid = named
        found = await self._cluster.get(kind, child["metadata"]["namespace"], name)
        return found if found is not None and found["metadata"].get("uid") == uid else None
