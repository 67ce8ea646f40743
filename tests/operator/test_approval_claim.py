"""What an OAuthClient may have signed by a guarded issuer besides its SPIFFE ID, and requests judged by that."""

from typing import Any

import pytest

from holdfast_operator.approval.claim import NoClaim, claim_of
from holdfast_operator.approval.judge import Approved, Claim, DenialReason, Denied, Rules, judge_request
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.certificate_requests import CERT_MANAGER, OWN, certificate_request, csr
from tests.operator.simulated import mtls_policy, oauth_client

RULES = Rules(issuers=frozenset({"workloads"}), trust_domain="cluster.local", cert_manager=CERT_MANAGER)
DNS = "orders.example.com"


def allowing(**subjects: list[str]) -> Object:
    return mtls_policy("names", certificates={"allowedSubjects": subjects})


def client(*, duration: str | None = None, issuer: str = "workloads", **subject: str) -> Object:
    certificate = {"issuerRef": {"name": issuer}, **({"duration": duration} if duration else {})}
    return oauth_client(certificate=certificate, authentication={"subject": subject} if subject else None)


def claimed(obj: Object, *policies: Object) -> Claim | NoClaim:
    return claim_of(obj, "workloads", [in_force(policy) for policy in policies], {}, ReconcileSettings())


def claim(obj: Object, *policies: Object) -> Claim:
    found = claimed(obj, *policies)
    assert isinstance(found, Claim), found
    return found


_ALLOWED: dict[str, tuple[dict[str, str], dict[str, list[str]], dict[str, Any]]] = {
    "a DNS name": ({"dns": DNS}, {"dnsNames": ["*.example.com"]}, {"dns": [DNS]}),
    "a DNS name in another case": ({"dns": DNS}, {"dnsNames": ["*.example.com"]}, {"dns": ["ORDERS.example.com"]}),
    "an IP address": ({"ip": "10.1.2.3"}, {"ipAddresses": ["10.1.0.0/16"]}, {"ips": ["10.1.2.3"]}),
    "an email address": ({"email": "orders@example.com"}, {"emailAddresses": ["*@example.com"]},
                         {"emails": ["orders@example.com"]}),
    "another URI": ({"uri": "https://example.com/orders"}, {"uris": ["https://example.com/*"]},
                    {"uris": [OWN, "https://example.com/orders"]}),
    "a distinguished name": ({"dn": "CN=orders,O=Shop"}, {"distinguishedNames": ["O=Shop"]},
                             {"subject": "CN=orders,O=Shop"}),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "policy", "names"), _ALLOWED.values(), ids=_ALLOWED.keys())
def test_a_client_has_the_subject_signed_that_a_policy_allows_it(
    subject: dict[str, str], policy: dict[str, list[str]], names: dict[str, Any]
) -> None:
    request = certificate_request(csr(**names))

    assert isinstance(judge_request(request, RULES), Denied)
    assert isinstance(judge_request(request, RULES, claim(client(**subject), allowing(**policy))), Approved)


_BEYOND: dict[str, tuple[dict[str, Any], DenialReason]] = {
    "a second name of an allowed kind": ({"dns": [DNS, "cart.example.com"]}, DenialReason.NAMES_NOT_ALLOWED),
    "a name of another kind": ({"dns": [DNS], "emails": ["orders@example.com"]}, DenialReason.NAMES_NOT_ALLOWED),
    "a subject besides": ({"dns": [DNS], "subject": "CN=orders"}, DenialReason.NAMES_NOT_ALLOWED),
    "another name of an allowed kind": ({"dns": ["cart.example.com"]}, DenialReason.IDENTITY_NOT_ALLOWED),
    "no SPIFFE ID": ({"uris": [], "dns": [DNS]}, DenialReason.IDENTITY_NOT_ALLOWED),
    "a neighbour's SPIFFE ID": ({"uris": ["spiffe://cluster.local/ns/shop/sa/cart"], "dns": [DNS]},
                                DenialReason.IDENTITY_NOT_ALLOWED),
    "to be a CA": ({"dns": [DNS], "ca": True}, DenialReason.CA_NOT_ALLOWED),
}  # fmt: skip


@pytest.mark.parametrize(("names", "reason"), _BEYOND.values(), ids=_BEYOND.keys())
def test_a_client_has_nothing_signed_beyond_its_rule(names: dict[str, Any], reason: DenialReason) -> None:
    """However its Certificate was edited."""
    mine = claim(client(dns=DNS), allowing(dnsNames=["*.example.com"]))
    verdict = judge_request(certificate_request(csr(**names)), RULES, mine)

    assert isinstance(verdict, Denied)
    assert verdict.reason is reason


def test_a_client_has_nothing_signed_for_longer_than_it_asks() -> None:
    mine = claim(client(dns=DNS, duration="12h"), allowing(dnsNames=["*.example.com"]))
    verdict = judge_request(certificate_request(csr(dns=[DNS]), duration="13h"), RULES, mine)

    assert isinstance(verdict, Denied)
    assert verdict.reason is DenialReason.DURATION_NOT_ALLOWED


def test_the_limit_of_the_platform_holds_for_clients_too() -> None:
    mine = claim(client(dns=DNS, duration="87600h"), allowing(dnsNames=["*.example.com"]))

    assert isinstance(judge_request(certificate_request(csr(dns=[DNS]), duration="87600h"), RULES, mine), Denied)


def test_the_key_has_to_be_as_large_as_policies_ask() -> None:
    policy = mtls_policy(
        "keys", certificates={"allowedSubjects": {"dnsNames": ["*.example.com"]}, "minimumKey": {"ecBits": 384}}
    )
    certificate = {"issuerRef": {"name": "workloads"}, "privateKey": {"algorithm": "ECDSA", "size": 384}}
    wanted = oauth_client(certificate=certificate, authentication={"subject": {"dns": DNS}})
    mine = claim(wanted, policy, allowing(dnsNames=["*.example.com"]))
    verdict = judge_request(certificate_request(csr(dns=[DNS])), RULES, mine)

    assert isinstance(verdict, Denied)
    assert verdict.reason is DenialReason.KEY_NOT_ALLOWED


EXAMPLE = allowing(dnsNames=["*.example.com"])
BROKEN = mtls_policy("broken", tokens=7)
OTHER_ISSUERS = mtls_policy("issuers", certificates={"allowedIssuers": [{"name": "x"}]})
EVERYBODY = allowing(uris=["spiffe://cluster.local/ns/*/sa/*"])
ANCHORS = [{"configMapKeyRef": {"name": "partner", "key": "ca.crt"}}]

_NO_CLAIM: dict[str, tuple[Object, tuple[Object, ...], str]] = {
    "no policy": (client(dns=DNS), (), "allowed for dns"),
    "another name than the policy's": (client(dns="orders.example.org"), (EXAMPLE,), "allowed for dns"),
    "another namespace's SPIFFE ID": (
        client(uri="spiffe://cluster.local/ns/fin/sa/billing"),
        (EVERYBODY,),
        "belongs to its namespace",
    ),
    "a policy that was never accepted": (client(dns=DNS), (EXAMPLE, BROKEN), "never accepted"),
    "another issuer": (client(dns=DNS, issuer="other"), (EXAMPLE,), "issuerRef"),
    "an issuer that is not allowed": (client(dns=DNS), (EXAMPLE, OTHER_ISSUERS), "issuer"),
    "a subject that is none": (client(dns="*.example.com"), (EXAMPLE,), "dns: expected a host name"),
    "anchors of its own": (
        oauth_client(authentication={"subject": {"dns": DNS}, "trustAnchors": ANCHORS}),
        (),
        "allowed for dns",
    ),
}


@pytest.mark.parametrize(("obj", "policies", "why"), _NO_CLAIM.values(), ids=_NO_CLAIM.keys())
def test_a_client_may_have_no_other_name_signed_with(obj: Object, policies: tuple[Object, ...], why: str) -> None:
    found = claimed(obj, *policies)

    assert isinstance(found, NoClaim), found
    assert why in found.message


def test_its_status_is_not_believed() -> None:
    accepted = {"type": "Accepted", "status": "True", "observedGeneration": 1}

    assert isinstance(claimed({**client(dns=DNS), "status": {"conditions": [accepted]}}), NoClaim)
