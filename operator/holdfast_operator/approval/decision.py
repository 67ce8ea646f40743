"""What is decided on a request: by the SPIFFE rule, and where names alone are in the way, by the client behind it. Pure.

Owns whose requests a client is looked up for, and what comes of that look. Neighbours: `judge` has the rules, `owner` looks
the client up, `approver` carries the verdict out.
"""

from holdfast_operator.approval.claim import NoClaim
from holdfast_operator.approval.judge import Claim, Denied, Problem, Rules, Verdict, could_be_a_clients, judge_request
from holdfast_operator.approval.request import read_asked
from holdfast_operator.reconcile.approval import guarded_issuer
from holdfast_operator.reconcile.ports import Object


def issuer_to_claim_from(request: Object, rules: Rules) -> str | None:
    """The guarded issuer for which the client behind the request has to be looked up; None: without it is decided as well.

    Of cert-manager's requests alone: an owner can be written down by anybody who may create one.
    """
    if read_asked(request).requester.username != rules.cert_manager:
        return None
    verdict = judge_request(request, rules)
    refused = isinstance(verdict, Denied) and could_be_a_clients(verdict)
    return guarded_issuer(request, rules.issuers) if refused else None


def decide(request: Object, rules: Rules, claim: Claim | NoClaim | None) -> Verdict:
    """`claim`: of the client behind it, where that is asked for; None: there is none, or none is asked for."""
    verdict = judge_request(request, rules, claim if isinstance(claim, Claim) else None)
    if isinstance(claim, NoClaim) and isinstance(verdict, Denied):
        why = f"its OAuthClient may have no other: {claim.message}"
        return Denied((*verdict.problems, Problem(verdict.reason, why)))
    return verdict
