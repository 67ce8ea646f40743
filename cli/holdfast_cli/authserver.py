"""`holdfast authserver`: starts the authorization server as a process.

Owns nothing but the command; settings, listeners and the stop are the server's own.
"""

import click

from holdfast_authserver.server import main


@click.command(name="authserver")
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Processes that serve on the same ports; wins over HOLDFAST_WORKERS."
)
def command(workers: int | None) -> None:
    """Start the authorization server; runs until SIGTERM.

    Settings are environment variables HOLDFAST_… and one optional YAML file that HOLDFAST_CONFIG_FILE names.
    Exit code 2: it could not start.
    """
    click.get_current_context().exit(main(workers=workers))
