"""`holdfast injector`: starts the admission webhooks as a process.

Owns nothing but the command; settings, watches and the stop are the operator's own.
"""

import click

from holdfast_operator.injector import main


@click.command(name="injector")
def command() -> None:
    """Start the admission webhooks; runs until SIGTERM.

    Settings are environment variables HOLDFAST_…; the cluster is that of KUBECONFIG, or the one it runs in.
    Exit code 2: it could not start.
    """
    click.get_current_context().exit(main())
