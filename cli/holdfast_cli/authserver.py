"""`holdfast authserver`: starts the authorization server as a process.

Owns nothing but the command; settings, listeners and the stop are the server's own.
"""

import click

from holdfast_authserver.server import main


@click.command(name="authserver")
def command() -> None:
    """Start the authorization server; runs until SIGTERM.

    Settings are environment variables HOLDFAST_… and one optional YAML file that HOLDFAST_CONFIG_FILE names.
    Exit code 2: it could not start.
    """
    click.get_current_context().exit(main())
