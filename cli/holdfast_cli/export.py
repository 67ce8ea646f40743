"""`holdfast export`: the clients and policies that are there, as manifests that can be applied again.

Owns the command's contract: where from, where to, exit codes. Neighbours: `exporting` makes the manifests, `places` reads.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import click

from holdfast.registry.port import RegistryError
from holdfast_cli.exporting.objects import export_objects
from holdfast_cli.exporting.registrations import Issuer, export_registrations
from holdfast_cli.failure import Failure
from holdfast_cli.manifests.output import to_yaml, write_output
from holdfast_cli.options import issuer_of, trust_domain_option
from holdfast_cli.places import NoDevFolder, open_cluster, open_dev_folder
from holdfast_cli.terminal import visible
from holdfast_cli.urls import check_https
from holdfast_operator.adapters.admin_api import HttpRegistry
from holdfast_operator.adapters.kubernetes_api import NotConfigured
from holdfast_operator.reconcile.ports import ClusterError, Object

_ENV = "HOLDFAST_ADMIN_{}"
"""As the operator's settings: in its pod nothing has to be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registry:
    """Where the admin API is, and who asks."""

    url: str
    ca_file: Path
    cert_file: Path
    key_file: Path


@click.command(name="export")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Data folder of a holdfast dev, instead of a cluster."
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Default: as kubectl finds it.")
@click.option("--context", help="Of the kubeconfig; default: its current one.")
@click.option("--registry", "from_registry", is_flag=True, help="From the server's registry, by its admin API, instead.")
@click.option("--admin-url", envvar=_ENV.format("URL"), show_envvar=True, help="With --registry: where it listens.")
@click.option("--admin-ca-file", envvar=_ENV.format("CA_FILE"), show_envvar=True, type=click.Path(path_type=Path))
@click.option("--admin-cert-file", envvar=_ENV.format("CERT_FILE"), show_envvar=True, type=click.Path(path_type=Path))
@click.option("--admin-key-file", envvar=_ENV.format("KEY_FILE"), show_envvar=True, type=click.Path(path_type=Path))
@click.option("--issuer", metavar="[KIND/]NAME", help="With --registry: who issues to clients of cert-manager.")
@trust_domain_option
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Clients of this one alone; may be given again.")
@click.option("--output", type=click.Path(path_type=Path), help="Write there; the file must not exist.")
def command(
    folder: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    from_registry: bool,
    admin_url: str | None,
    admin_ca_file: Path | None,
    admin_cert_file: Path | None,
    admin_key_file: Path | None,
    issuer: str | None,
    trust_domain: str,
    namespaces: tuple[str, ...],
    output: Path | None,
) -> None:
    """Write OAuthClient and MTLSPolicy manifests of what is there.

    Of a cluster or a holdfast dev: the objects, without what servers and tools add. With --registry: the registrations, each
    with a ConfigMap of its trust anchors; a registry does not know policies and issuers, so that a client of a cert-manager
    issuer needs --issuer to keep its certificate. What has to be looked at is told on the standard error.

    Exit codes: 0 written; 2 it could not be read, or not be written.
    """
    if sum((folder is not None, kubeconfig is not None or context is not None, from_registry)) > 1:
        raise Failure("--dir, --kubeconfig and --registry: expected one of them, found several")
    if issuer is not None and not from_registry:
        raise Failure("--issuer: expected --registry beside it, found none")
    try:
        if from_registry:
            source = _registry(admin_url, admin_ca_file, admin_cert_file, admin_key_file)
            objects = asyncio.run(_registrations(source, namespaces, issuer_of(issuer), trust_domain))
        else:
            objects = asyncio.run(_objects(folder, kubeconfig, context, namespaces))
    except (ClusterError, NoDevFolder, NotConfigured, RegistryError) as error:
        raise Failure(str(error)) from error
    write_output(to_yaml(objects), output)


def _registry(url: str | None, ca: Path | None, cert: Path | None, key: Path | None) -> _Registry:
    """Raises Failure for what is missing."""
    if url is None or ca is None or cert is None or key is None:
        names = ("--admin-url", "--admin-ca-file", "--admin-cert-file", "--admin-key-file")
        missing = [name for name, value in zip(names, (url, ca, cert, key), strict=True) if value is None]
        raise Failure(f"--registry: expected {', '.join(missing)} beside it, found none")
    check_https("--admin-url", url)
    return _Registry(url=url, ca_file=ca, cert_file=cert, key_file=key)


async def _objects(
    folder: Path | None, kubeconfig: Path | None, context: str | None, namespaces: tuple[str, ...]
) -> list[Object]:
    if folder is not None:
        return await export_objects(open_dev_folder(folder), namespaces)
    async with open_cluster(kubeconfig, context) as cluster:
        return await export_objects(cluster, namespaces)


async def _registrations(
    source: _Registry, namespaces: tuple[str, ...], issuer: Issuer | None, trust_domain: str
) -> list[Object]:
    registry = HttpRegistry(source.url, ca_file=source.ca_file, cert_file=source.cert_file, key_file=source.key_file)
    try:
        found = await export_registrations(registry, namespaces, issuer, trust_domain)
    finally:
        await registry.close()
    for exported in found:
        for note in exported.notes:
            click.echo(visible(note), err=True)
    return [obj for exported in found for obj in exported.objects]
