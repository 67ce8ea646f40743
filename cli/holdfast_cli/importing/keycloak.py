"""Keycloak's clients, from the export of a realm, of several, or from a list of clients.

Owns what each member and attribute means here, and which clients are Keycloak's own. Neighbours: `keycloak_scopes` (scopes
and mappers of the realm), `foreign`.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.oauth.certificate_key import certificate_key
from holdfast.x509.certificate import Certificate
from holdfast_cli.importing.foreign import (
    CLIENT_CREDENTIALS,
    ForeignClient,
    ForeignServer,
    Left,
    Members,
    Unreadable,
    leave_grants,
)
from holdfast_cli.importing.keycloak_scopes import RealmScopes, leave_mappers, leave_realm_scopes

_OWN = frozenset({"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"})
"""In every realm; and `<realm>-realm` in the master realm."""
_METHODS = {
    "client-secret": "client_secret_basic",
    "client-secret-jwt": "client_secret_jwt",
    "client-jwt": "private_key_jwt",
    "client-x509": "tls_client_auth",
}
_SAYS_NOTHING = (
    *("id", "name", "description", "surrogateAuthRequired", "alwaysDisplayInConsole", "notBefore", "frontchannelLogout"),
    *("protocol", "fullScopeAllowed", "nodeReRegistrationTimeout", "authenticationFlowBindingOverrides", "access"),
    *("baseUrl", "adminUrl", "rootUrl", "consentRequired", "origin", "type"),
)
"""For people and for logins of users, or nothing that a token of a workload shows."""
_ATTRIBUTES_SAY_NOTHING = (
    *("client.secret.creation.time", "realm_client", "display.on.consent.screen", "acr.loa.map"),
    *("exclude.session.state.from.auth.response", "id.token.as.detached.signature", "use.refresh.tokens", "login_theme"),
    *("client_credentials.use_refresh_token", "token.response.type.bearer.lower-case", "access.token.header.type.rfc9068"),
    *("backchannel.logout.session.required", "backchannel.logout.revoke.offline.tokens", "request.object.required"),
    *("frontchannel.logout.session.required", "require.pushed.authorization.requests", "pkce.code.challenge.method"),
    *("id.token.signed.response.alg", "use.jwks.url", "use.jwks.string", "token.endpoint.auth.method"),
    *("client.authentication.type", "oidc.ciba.grant.enabled", "oauth2.device.authorization.grant.enabled"),
    *("client.use.lightweight.access.token.enabled", "client.introspection.response.allow.jwt.claim.enabled"),
)
_FLOWS = {
    "standardFlowEnabled": "authorization_code",
    "implicitFlowEnabled": "implicit",
    "directAccessGrantsEnabled": "password",
    "serviceAccountsEnabled": CLIENT_CREDENTIALS,
}
_SECRETS = ("secret", "registrationAccessToken")
_REALM_TEXT = frozenset({"id", "realm", "clients", "clientScopes", "defaultDefaultClientScopes", "keycloakVersion"})


def read(text: str) -> ForeignServer:
    """Raises Unreadable."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"expected JSON: {error}") from error
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise Unreadable("expected the export of a realm, or clients, found something else")
    realms = [entry for entry in entries if isinstance(entry.get("clients"), list)]
    loose = [entry for entry in entries if "clientId" in entry]
    if len(realms) + len(loose) != len(entries) or not entries:
        raise Unreadable("expected the export of a realm, which has clients, or clients, which have clientId")
    clients = [client for realm in realms for client in _of_realm(realm)]
    clients += [_client(entry, RealmScopes({})) for entry in loose]
    return ForeignServer(tuple(clients), tuple(left for realm in realms for left in _left_of(realm)))


def _of_realm(realm: Mapping[str, Any]) -> Iterator[ForeignClient]:
    scopes = RealmScopes(realm)
    for entry in realm["clients"]:
        yield _client(entry, scopes)


def _left_of(realm: Mapping[str, Any]) -> Iterator[Left]:
    """Collections by name, single settings by their number."""
    name, settings = str(realm.get("realm") or "realm"), 0
    for member, value in sorted(realm.items()):
        if member in _REALM_TEXT or not value:
            continue
        if isinstance(value, list | dict):
            yield Left(f"{name}.{member}", f"not about clients; entries: {len(value)}")
        else:
            settings += 1
    if settings:
        yield Left(
            name, f"{settings} settings of the realm as a whole, among them lifetimes: clients have the server's here"
        )


def _client(value: Any, scopes: RealmScopes) -> ForeignClient:
    if not isinstance(value, Mapping) or not isinstance(value.get("clientId"), str) or not value["clientId"]:
        raise Unreadable("expected clients with clientId, found one without")
    whose = f"client {value['clientId']}"
    members = Members(value, whose)
    attributes = Members(members.mapping("attributes"), whose, "attributes.")
    client = ForeignClient(
        client_id=members.text("clientId"),
        method=_METHODS.get(members.text("clientAuthenticatorType") or "client-secret", "unknown"),
        suspended=not members.flag("enabled", default=True),
    )
    client.own = client.client_id in _OWN or client.client_id.endswith("-realm")
    client.refusal = _refusal(value, client)
    members.forget(_SAYS_NOTHING)
    leave_grants(client, _grants(members, attributes))
    attributes.forget(_ATTRIBUTES_SAY_NOTHING)
    _authentication(client, attributes)
    leave_realm_scopes(client, members.texts("defaultClientScopes") + members.texts("optionalClientScopes"), scopes)
    leave_mappers(client, members.take("protocolMappers"), "protocolMappers")
    _leave(client, members, attributes)
    return client


def _refusal(value: Mapping[str, Any], client: ForeignClient) -> str:
    if value.get("protocol") not in (None, "openid-connect"):
        return f"protocol {value['protocol']}: Holdfast speaks OAuth"
    if value.get("bearerOnly") is True:
        return "bearer-only: an API that never authenticates; describe it by spec.resourceServer"
    if value.get("publicClient") is True:
        return "a public client: it has nothing to authenticate with"
    if client.method == "unknown":
        return f"clientAuthenticatorType {value.get('clientAuthenticatorType')}: Holdfast has no such method"
    return ""


def _grants(members: Members, attributes: Members) -> list[str]:
    """Flows as the grants that they are; a client without `standardFlowEnabled` has that flow, as Keycloak says."""
    found = [grant for name, grant in _FLOWS.items() if members.flag(name, default=name == "standardFlowEnabled")]
    if attributes.flag("oauth2.device.authorization.grant.enabled"):
        found.append("urn:ietf:params:oauth:grant-type:device_code")
    if attributes.flag("oidc.ciba.grant.enabled"):
        found.append("urn:openid:params:grant-type:ciba")
    members.forget(("publicClient", "bearerOnly"))
    return found


def _authentication(client: ForeignClient, attributes: Members) -> None:
    dn, pattern = attributes.text("x509.subjectdn"), attributes.flag("x509.allow.regex.pattern.comparison")
    if client.method == "tls_client_auth":
        client.subject = ("dn", dn) if dn else None
        if pattern and not client.refusal:
            client.refusal = f"attributes.x509.subjectdn is a regular expression ({dn}): a subject is one name here"
    uri, keys = attributes.text("jwks.url"), attributes.text("jwks.string")
    certificate = attributes.text("jwt.credential.certificate")
    if client.method == "private_key_jwt":
        client.signing_algorithm = attributes.text("token.endpoint.auth.signing.alg") or None
        client.jwks_uri = uri or None
        client.jwks = None if uri else _keys(client, keys) or _key_of(client, certificate)
    lifetime = attributes.take("access.token.lifespan")
    client.lifetime = f"{lifetime}s" if str(lifetime or "").isdecimal() else None
    attributes.flag("tls.client.certificate.bound.access.tokens")  # bound is what tokens are here


def _keys(client: ForeignClient, text: str) -> Mapping[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, Mapping) and isinstance(found.get("keys"), list):
        return found
    client.leave("attributes.jwks.string", "no JWK Set (RFC 7517)")
    return None


def _key_of(client: ForeignClient, certificate: str) -> Mapping[str, Any] | None:
    """The public key of the certificate that Keycloak keeps for signed assertions."""
    if not certificate:
        return None
    try:
        key = certificate_key(Certificate.from_der(base64.b64decode(certificate, validate=True))).to_json()
    except ValueError as error:
        client.leave("attributes.jwt.credential.certificate", f"no certificate with a key that could be used: {error}")
        return None
    # Assertions made for Keycloak name no key, or one of their own.
    return {"keys": [{name: member for name, member in key.items() if name != "kid"}]}


def _leave(client: ForeignClient, members: Members, attributes: Members) -> None:
    for name in _SECRETS:
        if members.take(name):
            client.leave(name, "secrets are not carried over")
    for name, found in (
        ("redirectUris", members.texts("redirectUris")),
        ("webOrigins", members.texts("webOrigins")),
        ("attributes.post.logout.redirect.uris", (attributes.text("post.logout.redirect.uris"),)),
    ):
        if any(found):
            client.leave(name, f"{', '.join(found)}: for users, who have no place here")
    for name in (*members.rest(), *attributes.rest()):
        client.leave(name, "Holdfast has no such setting")
