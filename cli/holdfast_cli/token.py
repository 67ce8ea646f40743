"""`holdfast token`: gets a certificate-bound token with a certificate, and prints it or calls an API with it.

Owns the command and how a refusal is told. The requests stand in `token_request`.
"""

import json
from pathlib import Path

import click
import httpx

from holdfast_cli.failure import REFUSED, Failure
from holdfast_cli.token_request import TokenRefused, TokenWish, Unreachable, call, connect, discover, fetch

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="token")
@click.option("--cert", type=FILE, required=True, help="The client's certificate with its chain, PEM.")
@click.option("--key", type=FILE, help="Its private key, PEM; by default in the file of --cert.")
@click.option("--ca", type=FILE, help="The CA of the authorization server, PEM; by default the system's.")
@click.option("--issuer", help="The authorization server; its metadata (RFC 8414) says where the token endpoint is.")
@click.option("--token-endpoint", help="The token endpoint on the mTLS host, instead of --issuer.")
@click.option("--client-id", required=True)
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for; may be given more than once.")
@click.option("--resource", help="Whom the token is for (RFC 8707); by default the client's first.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--call", "url", help="Call this URL with token and certificate, and print what it answers.")
@click.option("--call-ca", type=FILE, help="The CA of that API, PEM; by default that of --ca.")
def command(
    cert: Path,
    key: Path | None,
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
    wish = TokenWish(client_id=client_id, scopes=scopes, resource=resource)
    try:
        with connect(cert, key, ca) as client:
            answer = fetch(client, token_endpoint or discover(client, issuer or ""), wish)
        if url is None:
            click.echo(json.dumps(answer, indent=2) if as_json else answer["access_token"])
            return
        with connect(cert, key, call_ca or ca) as client:
            response = call(client, url, answer["access_token"])
    except TokenRefused as error:
        raise Failure(str(error), REFUSED) from error
    except Unreachable as error:
        raise Failure(str(error)) from error
    _show(response)


def _show(response: httpx.Response) -> None:
    click.echo(f"{response.status_code} {response.reason_phrase}", err=True)
    challenge = response.headers.get("www-authenticate")
    if challenge:
        click.echo(f"WWW-Authenticate: {challenge}", err=True)
    click.echo(response.text, nl=not response.text.endswith("\n"))
    if response.is_error:
        click.get_current_context().exit(REFUSED)
