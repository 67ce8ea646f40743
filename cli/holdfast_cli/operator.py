"""`holdfast operator`: starts the operator as a process; `holdfast operator release` ends an installation of it.

Owns nothing but the commands; settings, Lease and the stop are the operator's own.
"""

import click

from holdfast_operator import main, release


@click.group(name="operator", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Start the operator; runs until SIGTERM.

    Settings are environment variables HOLDFAST_…; the cluster is that of KUBECONFIG, or the one it runs in.
    Exit code 2: it could not start.
    """
    if ctx.invoked_subcommand is None:
        ctx.exit(main.main())


@command.command(name="release")
@click.pass_context
def _release(ctx: click.Context) -> None:
    """Take the operator's finalizer off every OAuthClient, for good.

    Before an uninstallation: what stays in the cluster can then be deleted without the operator. Running replicas stop
    working first; they take up their work again if they are still there two minutes later. Settings are
    HOLDFAST_LEASE_NAMESPACE, HOLDFAST_LEASE_NAME and HOLDFAST_WATCH_NAMESPACES.
    Exit code 1: something could not be let go; 2: it could not start.
    """
    ctx.exit(release.main())
