"""`holdfast operator`: starts the operator as a process.

Owns nothing but the command; settings, Lease and the stop are the operator's own.
"""

import click

from holdfast_operator.main import main


@click.command(name="operator")
def command() -> None:
    """Start the operator; runs until SIGTERM.

    Settings are environment variables HOLDFAST_…; the cluster is that of KUBECONFIG, or the one it runs in.
    Exit code 2: it could not start.
    """
    click.get_current_context().exit(main())
