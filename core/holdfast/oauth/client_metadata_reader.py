"""The JSON form of a client's metadata, read back strictly: every problem at once, each with its member.

Owns the checks of form and that what many clients have in common is in memory once. Whether a client may have what it asks
for is `holdfast.policy`'s to say. Neighbour: `client_metadata` owns the value and writes the form.
"""

import base64
from collections.abc import Hashable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from holdfast.oauth.client_metadata import (
    OPTIONAL_TEXTS,
    SUBJECT_MEMBERS,
    AllowedRequester,
    ClientMetadata,
    DeletionPolicy,
    InvalidClientMetadata,
    Owner,
    Problem,
    ResourceServer,
    TokenFormat,
    TrustAnchor,
)
from holdfast.oauth.jwks import Jwk, JwkError, parse_jwk_set
from holdfast.x509.subject import SubjectRule, SubjectRuleError, parse_subject_rule

Choice = TypeVar("Choice", bound=StrEnum)
Shared = TypeVar("Shared", bound=Hashable)


def from_json(value: object) -> ClientMetadata:
    """Read what `to_json` wrote.

    Raises InvalidClientMetadata with every problem. Checks form only; whether the client may have what it
    asks for is `holdfast.policy.evaluate`'s to say.
    """
    return _Reader(value).client()


@lru_cache(maxsize=4096)
def _one_copy(value: Shared) -> Shared:
    """The same object for equal values: thousands of clients trust one CA, live in one namespace, have the same scopes."""
    return value


class _Reader:
    """Reads member by member and collects what is wrong, so that one answer names all of it."""

    def __init__(self, value: object) -> None:
        self.problems: list[Problem] = []
        self.top = self._object(value, "$")
        self.own = self._object(self.top.get("holdfast"), "holdfast")

    def client(self) -> ClientMetadata:
        client = ClientMetadata(
            client_id=self._text(self.top, "client_id"),
            owner=self._owner(self._object(self.own.get("owner"), "holdfast.owner"), "holdfast.owner."),
            token_endpoint_auth_method=_one_copy(self._text(self.top, "token_endpoint_auth_method")),
            subject=self._subject(),
            trust_anchors=_one_copy(self._anchors()),
            grant_types=_one_copy(self._texts(self.top, "grant_types")),
            scopes=_one_copy(tuple(self._text(self.top, "scope", empty=True).split())),
            resources=self._texts(self.own, "resources", "holdfast."),
            resource_server=self._resource_server(),
            certificate_bound=self._flag(self.top, "tls_client_certificate_bound_access_tokens"),
            token_lifetime=self._lifetime(),
            suspended=self._flag(self.own, "suspended", "holdfast."),
            policy=_one_copy(self._text(self.own, "policy", "holdfast.")),
            jwks=self._jwks(),
            **{member: self._optional_text(member) for member in OPTIONAL_TEXTS},
            accept_expired_certificate="accept_expired_certificate" in self.own
            and self._flag(self.own, "accept_expired_certificate", "holdfast."),
            token_format=self._choice("token_format", TokenFormat.JWT),
            deletion_policy=self._choice("deletion_policy", DeletionPolicy.DELETE),
        )
        self._check_keys(client)
        if self.problems:
            raise InvalidClientMetadata(tuple(self.problems))
        return client

    def _owner(self, owner: Mapping[str, Any], path: str) -> Owner:
        name, account = self._text(owner, "name", path), self._text(owner, "service_account", path)
        return Owner(
            namespace=_one_copy(self._text(owner, "namespace", path)),
            name=name,
            uid=self._text(owner, "uid", path, empty=True),
            generation=self._count(owner, "generation", path),
            service_account=name if account == name else account,
        )

    def _say(self, field: str, expected: str, actual: object) -> None:
        self.problems.append(Problem(field, f"expected {expected}, found {type(actual).__name__} {str(actual)[:80]!r}"))

    def _object(self, value: object, field: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._say(field, "an object", value)
        return {}

    def _text(self, of: Mapping[str, Any], name: str, path: str = "", *, empty: bool = False) -> str:
        value = of.get(name)
        if isinstance(value, str) and (value or empty) and "\0" not in value and len(value) <= 2048:
            return value
        self._say(path + name, "a string of 1 to 2048 characters", value)
        return ""

    def _texts(self, of: Mapping[str, Any], name: str, path: str = "") -> tuple[str, ...]:
        value = of.get(name)
        if isinstance(value, list) and len(value) <= 256 and all(isinstance(v, str) and v for v in value):
            return tuple(value)
        self._say(path + name, "a list of at most 256 strings", value)
        return ()

    def _flag(self, of: Mapping[str, Any], name: str, path: str = "") -> bool:
        value = of.get(name)
        if isinstance(value, bool):
            return value
        self._say(path + name, "a boolean", value)
        return False

    def _count(self, of: Mapping[str, Any], name: str, path: str = "") -> int:
        value = of.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
        self._say(path + name, "a whole number from 0 to 2**63 - 1", value)
        return 0

    def _lifetime(self) -> int | None:
        if self.own.get("token_lifetime") is None:
            return None
        return self._count(self.own, "token_lifetime", "holdfast.")

    def _optional_text(self, name: str) -> str | None:
        return self._text(self.top, name) if name in self.top else None

    def _jwks(self) -> tuple[Jwk, ...] | None:
        if "jwks" not in self.top:
            return None
        try:
            return parse_jwk_set(self.top["jwks"])
        except JwkError as error:
            self.problems.append(Problem("jwks", str(error)))
            return None

    def _choice(self, name: str, default: Choice) -> Choice:
        """One of an enum's values; left out where it is the default."""
        choices, value = type(default), self.own.get(name, default.value)
        if value in set(choices):
            return choices(value)
        self._say(f"holdfast.{name}", " or ".join(choices), value)
        return default

    def _check_keys(self, client: ClientMetadata) -> None:
        """Keys come by value or by reference, never both (RFC 7591 section 2), and a reference is https."""
        if client.jwks is not None and client.jwks_uri is not None:
            self.problems.append(Problem("jwks_uri", "expected either jwks or jwks_uri, found both"))
        if client.jwks_uri and not client.jwks_uri.startswith("https://"):
            self._say("jwks_uri", "an https URL", client.jwks_uri)

    def _subject(self) -> SubjectRule | None:
        found = [(kind, member) for kind, member in SUBJECT_MEMBERS.items() if member in self.top]
        if not found:
            return None
        if len(found) > 1:
            self._say("tls_client_auth_*", "exactly one subject member", ", ".join(m for _, m in found))
            return None
        kind, member = found[0]
        try:
            return parse_subject_rule(kind, self._text(self.top, member))
        except SubjectRuleError as error:
            self.problems.append(Problem(member, str(error)))
            return None

    def _anchors(self) -> tuple[TrustAnchor, ...]:
        value = self.own.get("trust_anchors")
        if not isinstance(value, list) or len(value) > 32:
            self._say("holdfast.trust_anchors", "a list of at most 32 anchors", value)
            return ()
        return tuple(a for i, v in enumerate(value) if (a := self._anchor(v, f"holdfast.trust_anchors[{i}]")))

    def _anchor(self, value: object, path: str) -> TrustAnchor | None:
        entry = self._object(value, path)
        try:
            der = base64.b64decode(str(entry.get("x5c", "")), validate=True)
        except ValueError:
            self._say(f"{path}.x5c", "standard base64 of DER", entry.get("x5c"))
            return None
        return TrustAnchor(der=der, shared=self._flag(entry, "shared", f"{path}."))

    def _resource_server(self) -> ResourceServer | None:
        path = "holdfast.resource_server"
        if self.own.get("resource_server") is None:
            return None
        value = self._object(self.own["resource_server"], path)
        allow = value.get("allow_from")
        return ResourceServer(
            audiences=self._texts(value, "audiences", f"{path}."),
            allow_from=None if allow is None else self._allow_from(allow, f"{path}.allow_from"),
        )

    def _allow_from(self, value: object, path: str) -> tuple[AllowedRequester, ...]:
        if not isinstance(value, list) or len(value) > 256:
            self._say(path, "a list of at most 256 entries", value)
            return ()
        return tuple([self._requester(self._object(v, f"{path}[{i}]"), f"{path}[{i}].") for i, v in enumerate(value)])

    def _requester(self, of: Mapping[str, Any], path: str) -> AllowedRequester:
        return AllowedRequester(
            namespace=self._text(of, "namespace", path),
            client=self._text(of, "client", path),
            scopes=self._texts(of, "scopes", path),
        )
