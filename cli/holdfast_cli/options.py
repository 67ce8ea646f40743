"""What the options of several commands hold, read in one way.

Owns the form of `[KIND/]NAME` of an issuer, and the options that say how the operator is set. Neighbours: the commands.
"""

import click

from holdfast_cli.failure import Failure
from holdfast_operator.reconcile.settings import ReconcileSettings

_DEFAULTS = ReconcileSettings()
_AS_THE_OPERATOR = "As the operator has it."

trust_domain_option = click.option(
    "--trust-domain",
    default=_DEFAULTS.trust_domain,
    envvar="HOLDFAST_TRUST_DOMAIN",
    show_envvar=True,
    show_default=True,
    help=_AS_THE_OPERATOR,
)
cluster_domain_option = click.option(
    "--cluster-domain",
    default=_DEFAULTS.cluster_domain,
    envvar="HOLDFAST_CLUSTER_DOMAIN",
    show_envvar=True,
    show_default=True,
    help=_AS_THE_OPERATOR,
)

ISSUER_KINDS = ("ClusterIssuer", "Issuer")


def issuer_of(text: str | None) -> tuple[str, str] | None:
    """Kind, a ClusterIssuer's where none is named, and name. Raises Failure."""
    if text is None:
        return None
    kind, slash, name = text.rpartition("/")
    if slash and kind not in ISSUER_KINDS:
        raise Failure(f"--issuer: expected {' or '.join(ISSUER_KINDS)} before the /, found {kind!r}")
    return kind or ISSUER_KINDS[0], name
