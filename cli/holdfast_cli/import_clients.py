"""`holdfast import`: clients of another authorization server as manifests, and what could not come along.

Owns the commands' contract: options, what goes where, exit codes. Neighbour: `importing` reads and translates.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from holdfast_cli.failure import REFUSED, Failure
from holdfast_cli.importing import cloudentity, hydra, keycloak, report
from holdfast_cli.importing.foreign import ForeignServer, Unreadable
from holdfast_cli.importing.manifest import Choices, make_manifests
from holdfast_cli.manifests.output import to_yaml, write_output
from holdfast_cli.options import issuer_of, trust_domain_option
from holdfast_operator.adapters.folder.documents import read_text

MAX_EXPORT = 256 * 1024 * 1024  # bytes: a realm with all its users

Command = Callable[..., None]


@click.group(name="import")
def command() -> None:
    """Make OAuthClient manifests from the clients of another authorization server.

    Manifests go to the standard output, or to --output; what cannot be carried over is told on the standard error, client by
    client and field by field. Nothing is guessed, and secrets are never carried over.

    Exit codes: 0 every client is carried over; 1 some are not; 2 the input cannot be read.
    """


def _options(function: Command) -> Command:
    for option in (
        click.option("--report", "report_file", type=click.Path(path_type=Path), help="Write the report there as JSON."),
        click.option(
            "--output", type=click.Path(path_type=Path), help="Write the manifests there; the file must not exist."
        ),
        click.option(
            "--replace-secrets", is_flag=True, help="A client with a secret gets a certificate of --issuer instead."
        ),
        click.option("--new-ids", is_flag=True, help="Have clients called <namespace>.<name> instead of keeping their ids."),
        click.option(
            "--trust-anchors", metavar="CONFIGMAP[/KEY]", help="ConfigMap with the CA that their certificates are of."
        ),
        click.option("--issuer", metavar="[KIND/]NAME", help="cert-manager issuer of their certificates; a ClusterIssuer."),
        trust_domain_option,
        click.option("-n", "--namespace", required=True, help="Where they will live."),
    ):
        function = option(function)
    return function


@command.command(name="keycloak")
@click.argument("file", type=click.Path(path_type=Path))
@_options
def from_keycloak(file: Path, **options: Any) -> None:
    """FILE: the export of a realm (`kc.sh export`), or clients as `kcadm.sh get clients` prints them."""
    _run("keycloak", lambda: keycloak.read(_text(file)), **options)


@command.command(name="hydra")
@click.argument("file", type=click.Path(path_type=Path))
@_options
def from_hydra(file: Path, **options: Any) -> None:
    """FILE: clients as `hydra list clients --format json` or `GET /admin/clients` give them."""
    _run("hydra", lambda: hydra.read(_text(file)), **options)


@command.command(name="cloudentity")
@click.argument("folder", type=click.Path(path_type=Path))
@_options
def from_cloudentity(folder: Path, **options: Any) -> None:
    """FOLDER: what `cac pull` has written, all workspaces or one."""
    _run("cloudentity", lambda: cloudentity.read(folder), **options)


def _run(
    name: str,
    read: Callable[[], ForeignServer],
    *,
    namespace: str,
    trust_domain: str,
    issuer: str | None,
    trust_anchors: str | None,
    new_ids: bool,
    replace_secrets: bool,
    output: Path | None,
    report_file: Path | None,
) -> None:
    if replace_secrets and issuer is None:
        raise Failure("--replace-secrets: expected --issuer beside it, found none", command=f"import {name}")
    choices = Choices(
        namespace=namespace,
        trust_domain=trust_domain,
        issuer=issuer_of(issuer),
        anchors=None if trust_anchors is None else _anchors(trust_anchors),
        keep_ids=not new_ids,
        replace_secrets=replace_secrets,
    )
    try:
        server = read()
    except Unreadable as error:
        raise Failure(str(error), command=f"import {name}") from error
    outcomes = make_manifests(server.clients, choices)
    write_output(to_yaml([o.manifest for o in outcomes if o.manifest is not None]), output)
    if report_file is not None:
        write_output(report.as_json(outcomes, server.left) + "\n", report_file)
    click.echo(report.as_text(outcomes, server.left), err=True)
    if any(outcome.manifest is None and not outcome.own for outcome in outcomes):
        click.get_current_context().exit(REFUSED)


def _anchors(text: str) -> tuple[str, str]:
    name, _, key = text.partition("/")
    return name, key or "ca.crt"


def _text(file: Path) -> str:
    try:
        return read_text(file, MAX_EXPORT)
    except OSError as error:
        raise Unreadable(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Unreadable(f"{file}: {error}") from error
