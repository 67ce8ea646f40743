"""AdmissionReview (admission.k8s.io/v1) to a value and back.

Owns the form. Must not judge. Neighbours: `app` reads and writes bytes, `review` answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast_operator.reconcile.ports import Kind, Object

API_VERSION = "admission.k8s.io/v1"
_KINDS = {(kind.group, kind.kind): kind for kind in (Kind.OAUTH_CLIENT, Kind.MTLS_POLICY)}


class MalformedReview(ValueError):
    """No AdmissionReview that can be answered; names the member, expected and found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What the API server asks. `kind` None: none of those that are judged. `old`: what is stored, at an update."""

    uid: str
    kind: Kind | None
    subresource: str
    operation: str
    dry_run: bool
    obj: Object | None
    old: Object | None

    @property
    def label(self) -> str:
        """The kind as metrics and logs call it."""
        return "other" if self.kind is None else self.kind.kind


@dataclass(frozen=True, slots=True)
class Answer:
    """`refusal`: why not, empty: it may be stored."""

    refusal: str = ""
    warnings: tuple[str, ...] = ()


def read_review(value: object) -> Review:
    """Raises MalformedReview."""
    body = _object(value, "AdmissionReview")
    if body.get("apiVersion") != API_VERSION:
        raise MalformedReview(f"apiVersion: expected {API_VERSION}, found {str(body.get('apiVersion'))[:80]!r}")
    request = _object(body.get("request"), "request")
    kind = _object(request.get("kind"), "request.kind")
    return Review(
        uid=_text(request, "uid"),
        kind=_KINDS.get((str(kind.get("group")), str(kind.get("kind")))),
        subresource=str(request.get("subResource") or ""),
        operation=_text(request, "operation"),
        dry_run=bool(request.get("dryRun")),
        obj=_manifest(request, "object"),
        old=_manifest(request, "oldObject"),
    )


def write_answer(review: Review, answer: Answer) -> dict[str, Any]:
    """The whole AdmissionReview."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": not answer.refusal}
    if answer.refusal:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": answer.refusal}
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _manifest(request: Mapping[str, Any], member: str) -> Object | None:
    if request.get(member) is None:
        return None
    obj = dict(_object(request[member], f"request.{member}"))
    metadata = dict(_object(obj.get("metadata"), f"request.{member}.metadata"))
    metadata.setdefault("name", str(request.get("name") or ""))  # absent under generateName, until it is stored
    if request.get("namespace"):
        metadata.setdefault("namespace", str(request["namespace"]))
    return {**obj, "metadata": metadata}


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedReview(f"{where}: expected an object, found {type(value).__name__}")
    return value


def _text(request: Mapping[str, Any], member: str) -> str:
    value = request.get(member)
    if not isinstance(value, str) or not value:
        raise MalformedReview(f"request.{member}: expected a text, found {value!r}")
    return value
