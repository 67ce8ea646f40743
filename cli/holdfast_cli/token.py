"""`holdfast token`: gets a certificate-bound token with a certificate, and prints it or calls an API with it.

Owns the command and how a refusal is told. Neighbours: `holdfast.client` does the work, as it does in applications.
"""

import json
import sys
from pathlib import Path

import click
import httpx

from holdfast.client import BoundTokenAuth, ClientError, TokenRefused, bound_client
from holdfast.client.generation import BoundToken
from holdfast.clock import system_clock
from holdfast_cli.failure import REFUSED, Failure, say
from holdfast_cli.terminal import visible
from holdfast_cli.urls import check_https, check_issuer

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="token")
@click.option("--cert", type=FILE, required=True, help="The client's certificate with its chain, PEM.")
@click.option("--key", type=FILE, required=True, help="Its private key, PEM.")
@click.option("--ca", type=FILE, help="The CA of the authorization server, PEM; by default the system's.")
@click.option("--issuer", help="The authorization server; its metadata (RFC 8414) says where the token endpoint is.")
@click.option("--token-endpoint", help="The token endpoint on the mTLS host, instead of --issuer.")
@click.option("--client-id", required=True)
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for; may be given more than once.")
@click.option("--resource", help="Whom the token is for (RFC 8707); by default the client's first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: token, scope and seconds until it ends.")
@click.option("--call", "url", help="GET this URL with token and certificate, and print what it answers.")
@click.option("--call-ca", type=FILE, help="The CA of that API, PEM; by default that of --ca.")
def command(
    cert: Path,
    key: Path,
    ca: Path | None,
    issuer: str | None,
    token_endpoint: str | None,
    client_id: str,
    scopes: tuple[str, ...],
    resource: str | None,
    as_json: bool,
    url: str | None,
    call_ca: Path | None,
) -> None:
    """Get a bound token (RFC 8705) with client_credentials and print it, or use it.

    Exit codes: 0 done; 1 refused, or the API answered 400 or more; 2 it could not be asked.
    """
    if (issuer is None) == (token_endpoint is None):
        raise Failure("expected exactly one of --issuer and --token-endpoint")
    _check_urls(issuer, token_endpoint, url)
    try:
        auth = BoundTokenAuth(
            client_id=client_id,
            cert_file=cert,
            key_file=key,
            issuer=issuer,
            token_endpoint=token_endpoint,
            ca_file=ca,
            api_ca_file=call_ca,
            scopes=scopes,
            resource=resource,
        )
        if url is None:
            _print(auth.keeper.pair().token, as_json)
        else:
            _call(auth, url)
    except TokenRefused as error:
        decision = f" (decision {error.decision} in the server's audit log)" if error.decision else ""
        raise Failure(f"{error}{decision}", REFUSED) from error
    except (ClientError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Failure(str(error) or type(error).__name__) from error


def _check_urls(issuer: str | None, token_endpoint: str | None, url: str | None) -> None:
    if issuer is not None:
        check_issuer("--issuer", issuer)
    if token_endpoint is not None:
        check_https("--token-endpoint", token_endpoint)
    if url is not None:
        check_https("--call", url)


def _print(token: BoundToken, as_json: bool) -> None:
    if not as_json:
        say(token.value)
        return
    left = round((token.expires_at - system_clock()).total_seconds())
    value = {"access_token": token.value, "token_type": "Bearer", "expires_in": left, "scope": " ".join(token.scope)}
    say(json.dumps(value, indent=2))


def _call(auth: BoundTokenAuth, url: str) -> None:
    with bound_client(auth) as client:
        response = client.get(url)
    click.echo(f"{response.status_code} {visible(response.reason_phrase)}", err=True)
    challenge = response.headers.get("www-authenticate")
    if challenge:
        click.echo(f"WWW-Authenticate: {visible(challenge)}", err=True)
    _show_body(response.content)
    if response.is_error:
        click.get_current_context().exit(REFUSED)


def _show_body(body: bytes) -> None:
    """The bytes as they came, whatever charset they claim; a terminal gets no control characters of theirs."""
    if sys.stdout is not None and sys.stdout.isatty():
        say(visible(body.decode(errors="replace"), keep="\n\t"), newline=not body.endswith(b"\n"))
    else:
        say(body, newline=not body.endswith(b"\n"))
