"""`holdfast plan`: what would change if manifests were applied, to a cluster or to a `holdfast dev`. Nothing is written.

Owns the command's contract: options, forms, exit codes. Neighbours: `planning` compares, `manifests` reads.
"""

import asyncio
from pathlib import Path

import click

from holdfast.clock import system_clock
from holdfast_cli.failure import REFUSED, Failure, say
from holdfast_cli.manifests.documents import Documents, read_documents
from holdfast_cli.manifests.files import read_sources
from holdfast_cli.options import cluster_domain_option, trust_domain_option
from holdfast_cli.places import NoDevFolder, open_cluster, open_dev_folder
from holdfast_cli.planning.changes import Change
from holdfast_cli.planning.compare import compare
from holdfast_cli.planning.table import as_json, as_table
from holdfast_operator.adapters.kubernetes_api import NotConfigured
from holdfast_operator.reconcile.ports import ClusterError
from holdfast_operator.reconcile.settings import ReconcileSettings


@click.command(name="plan")
@click.argument("files", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Data folder of a holdfast dev, instead of a cluster."
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Default: as kubectl finds it.")
@click.option("--context", help="Of the kubeconfig; default: its current one.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("-n", "--namespace", default="default", show_default=True, help="Of objects that name none.")
@trust_domain_option
@cluster_domain_option
def command(
    files: tuple[str, ...],
    folder: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    form: str,
    namespace: str,
    trust_domain: str,
    cluster_domain: str,
) -> None:
    """Tell what would change if these manifests were applied, and whether it would work. Reads only.

    Each object is compared with the one that is there; then the operator's own plan is asked, for the clients among them
    and for every other client that a changed policy, namespace or ConfigMap concerns: which certificates it would have
    issued, which registrations it would make, change or remove, and what would be refused.

    Exit codes: 0 it would work; 1 something would be refused; 2 it could not be asked.
    """
    if folder is not None and (kubeconfig is not None or context is not None):
        raise Failure("--dir: expected no --kubeconfig and no --context beside it, found one")
    documents = read_documents(read_sources(files), namespace)
    _check_readable(documents)
    settings = ReconcileSettings(trust_domain=trust_domain, cluster_domain=cluster_domain)
    try:
        changes = asyncio.run(_compare(documents, folder, kubeconfig, context, settings))
    except (ClusterError, NoDevFolder, NotConfigured) as error:
        raise Failure(str(error)) from error
    say((as_json if form == "json" else as_table)(changes))
    if any(change.refusals for change in changes):
        click.get_current_context().exit(REFUSED)


async def _compare(
    documents: Documents, folder: Path | None, kubeconfig: Path | None, context: str | None, settings: ReconcileSettings
) -> list[Change]:
    if folder is not None:
        return await compare(documents.declared, open_dev_folder(folder), settings, system_clock())
    async with open_cluster(kubeconfig, context) as cluster:
        return await compare(documents.declared, cluster, settings, system_clock())


def _check_readable(documents: Documents) -> None:
    """What has no name cannot be compared with anything. Raises Failure."""
    found = next(iter([*documents.unreadable, *documents.invalid]), None)
    if found is not None:
        raise Failure(f"{found.place}: {found.field + ': ' if found.field else ''}{found.message} (holdfast lint tells all)")
