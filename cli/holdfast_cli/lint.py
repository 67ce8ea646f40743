"""`holdfast lint`: manifests judged before anybody applies them, without a cluster.

Owns the command's contract: arguments, forms, exit codes. Neighbours: `manifests` reads, `linting` judges and prints.
"""

from pathlib import Path

import click

from holdfast.clock import system_clock
from holdfast_cli.failure import REFUSED, Failure, say
from holdfast_cli.linting.across import judge_together
from holdfast_cli.linting.findings import Finding, Level, in_order
from holdfast_cli.linting.sarif import as_sarif
from holdfast_cli.linting.single import judge_each
from holdfast_cli.linting.text import as_json, as_text
from holdfast_cli.manifests.documents import OWN, read_documents
from holdfast_cli.manifests.files import read_sources
from holdfast_cli.options import cluster_domain_option, trust_domain_option
from holdfast_operator.reconcile.settings import ReconcileSettings


@click.command(name="lint")
@click.argument("files", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--policies", type=click.Path(path_type=Path), help="Folder or file with the policies that rule the clients.")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Of objects that name none.")
@trust_domain_option
@cluster_domain_option
def command(
    files: tuple[str, ...],
    policies: Path | None,
    form: str,
    strict: bool,
    namespace: str,
    trust_domain: str,
    cluster_domain: str,
) -> None:
    """Judge OAuthClient and MTLSPolicy objects as the API server and the operator will, without either.

    Reads YAML and JSON files, every *.yaml and *.yml below a folder, and `-`, the standard input. ConfigMap, Namespace,
    Issuer, ClusterIssuer and Certificate objects among them are looked at where a client or a policy needs them; other
    kinds are left alone. A rule that is told has the name of the condition's reason that would be seen in the cluster.

    Exit codes: 0 nothing is refused; 1 something would be refused (with --strict: or is warned of); 2 a file cannot be read.
    """
    settings = ReconcileSettings(trust_domain=trust_domain, cluster_domain=cluster_domain)
    arguments = [*files, str(policies)] if policies is not None else [*files]
    if policies is not None and not policies.exists():
        raise Failure(f"--policies: expected a folder or a file, found no {policies}")
    sources = read_sources(arguments)
    documents = read_documents(sources, namespace)
    single, valid = judge_each(documents)
    findings = in_order([*single, *judge_together(valid, settings, system_clock())])
    objects = sum(1 for declared in documents.declared if declared.key.kind in OWN)
    say(_shown(form, findings, objects=objects, files=len(sources)))
    if any(finding.level is Level.ERROR or (strict and finding.level is Level.WARNING) for finding in findings):
        click.get_current_context().exit(REFUSED)


def _shown(form: str, findings: tuple[Finding, ...], *, objects: int, files: int) -> str:
    if form == "sarif":
        return as_sarif(findings)
    return (as_json if form == "json" else as_text)(findings, objects=objects, files=files)
