"""`holdfast policy`: what a policy would do, before it does.

Owns the command's contract: options, exit codes, where objects are read from. Neighbours: `manifests` reads files,
`previewing` judges and prints; the operator's adapter reads the cluster.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import click

from holdfast.clock import system_clock
from holdfast_cli.failure import REFUSED, Failure, say
from holdfast_cli.linting.findings import Level
from holdfast_cli.linting.single import judge_each
from holdfast_cli.manifests.documents import read_documents
from holdfast_cli.manifests.files import read_sources
from holdfast_cli.options import cluster_domain_option, trust_domain_option
from holdfast_cli.places import open_cluster
from holdfast_cli.previewing.forms import as_json, as_text
from holdfast_cli.previewing.preview import Preview, Previewer, broken
from holdfast_cli.rehearsal.world import NoCluster, Remembered, World, stored_objects
from holdfast_operator.adapters.kubernetes_api import NotConfigured
from holdfast_operator.reconcile.ports import ClusterReads, ClusterUnavailable, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

FIRST = 20
"""As many clients are named for each policy, as in its status."""


@click.group(name="policy")
def command() -> None:
    """Try policies before they refuse anybody."""


@command.command(name="preview")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Judge the clients of this folder, not a cluster's.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Of the cluster; default: as kubectl finds it.")
@click.option("--context", help="Of the kubeconfig; default: its current one.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--all", "everybody", is_flag=True, help=f"Name every client; else the text names {FIRST} a policy.")
@trust_domain_option
@cluster_domain_option
def preview(
    files: tuple[str, ...],
    folder: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    form: str,
    everybody: bool,
    trust_domain: str,
    cluster_domain: str,
) -> None:
    """Say who would break the MTLSPolicy objects in FILE, and how, as if they were enforced.

    Each takes the place of the policy of its name, and ConfigMaps in FILE that of those that are there. Nothing is written.
    In a cluster what clients have been issued is read from their status; a folder knows only what is written there.

    Exit codes: 0 nobody would break one; 1 somebody would, or one cannot be accepted; 2 it could not be found out.
    """
    if folder is not None and (kubeconfig is not None or context is not None):
        raise Failure("--dir: expected no --kubeconfig and no --context beside it, found one")
    if folder is not None and not folder.is_dir():
        raise Failure(f"--dir: expected a folder, found {folder}")
    if kubeconfig is not None and not kubeconfig.is_file():
        raise Failure(f"--kubeconfig: expected a file, found {kubeconfig}")
    settings = ReconcileSettings(trust_domain=trust_domain, cluster_domain=cluster_domain)
    found = asyncio.run(_previews(files, folder, kubeconfig, context, settings))
    say(as_json(found) if form == "json" else as_text(found, first=None if everybody else FIRST))
    if broken(found):
        click.get_current_context().exit(REFUSED)


async def _previews(
    files: tuple[str, ...],
    folder: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    settings: ReconcileSettings,
) -> tuple[Preview, ...]:
    declared = _declared(files)
    names = [key.name for key in declared if key.kind is Kind.MTLS_POLICY]
    if not names:
        raise Failure(f"{', '.join(files)}: expected an MTLSPolicy, found none")
    if folder is not None:
        now = World(stored_objects(_declared((str(folder),)).items()), NoCluster())
        return await _judge(names, declared, now, settings)
    try:
        async with open_cluster(kubeconfig, context) as cluster:
            return await _judge(names, declared, Remembered(cluster), settings)
    except NotConfigured as error:
        raise Failure(f"{error}; name one with --kubeconfig, or a folder of manifests with --dir") from error
    except ClusterUnavailable as error:
        raise Failure(f"the cluster cannot be read: {error}") from error


async def _judge(
    names: list[str], declared: Mapping[Key, Object], now: ClusterReads, settings: ReconcileSettings
) -> tuple[Preview, ...]:
    previewer = Previewer(now, World(stored_objects(declared.items()), now), settings, system_clock())
    await previewer.load()
    return tuple(previewer.preview(name) for name in names)


def _declared(arguments: tuple[str, ...]) -> dict[Key, Object]:
    """Valid objects with their defaults. Raises Failure: what the API server refuses, nobody can break."""
    findings, valid = judge_each(read_documents(read_sources(arguments)))
    wrong = next((finding for finding in findings if finding.level is Level.ERROR), None)
    if wrong is not None:
        what = ": ".join(part for part in (wrong.object, wrong.field, wrong.message) if part)
        raise Failure(f"{wrong.place}: {what}; holdfast lint tells all that is wrong")
    return {declared.key: declared.object for declared in valid}
