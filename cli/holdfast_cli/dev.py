"""`holdfast dev DIR`: the whole of Holdfast over a folder of YAML, on this machine.

Owns the command's contract: options, ready file, signals, exit codes. Neighbours: `local` does the work.
"""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path

import click
import uvloop

from holdfast.clock import system_clock
from holdfast_cli.failure import Failure
from holdfast_cli.local import table
from holdfast_cli.local.composition import LocalOptions, LocalPlane
from holdfast_cli.local.data_folder import Ports, StartRefused
from holdfast_cli.local.ready_file import ReadyFile
from holdfast_cli.terminal import visible

STOP_LIMIT = 4.0  # seconds; the contract says 5 from signal to exit


@click.command(name="dev")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path(".holdfast"),
    show_default=True,
    help="Where keys, CA, certificates and the registry are kept.",
)
@click.option("--public-port", type=click.IntRange(0, 65535), default=8443, show_default=True, help="0: any free port.")
@click.option("--mtls-port", type=click.IntRange(0, 65535), default=9443, show_default=True, help="0: any free port.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written as JSON when the first pass is done, and after each change.",
)
def command(folder: Path, data: Path, public_port: int, mtls_port: int, ready_file: Path | None) -> None:
    """Run everything on this machine over the YAML in DIR, without a cluster.

    Reads OAuthClient, MTLSPolicy, ConfigMap, Namespace, Issuer and ClusterIssuer from every *.yaml and *.yml below DIR,
    and follows each edit. A ClusterIssuer named `workloads` is always there. Certificates lie at
    PATH/secrets/NAMESPACE/SECRET/{tls.crt,tls.key,ca.crt}. Ctrl-C or SIGTERM stops it. Exit code 2: it could not start.
    """
    if public_port == mtls_port != 0:
        raise Failure(f"--public-port and --mtls-port: expected two different ports, found {public_port} for both")
    options = LocalOptions(root=folder.absolute(), data=data.absolute(), ports=Ports(public_port, mtls_port))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        uvloop.run(_run(options, ReadyFile(ready_file.absolute() if ready_file else None)))
    except StartRefused as error:
        raise Failure(visible(" ".join(str(error).split()))) from error


async def _run(options: LocalOptions, ready: ReadyFile) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    plane = LocalPlane(options, system_clock)
    work = asyncio.create_task(_serve(plane, ready))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        stopped.cancel()
        work.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_LIMIT):
                await plane.stop()
        ready.remove()


async def _serve(plane: LocalPlane, ready: ReadyFile) -> None:
    plane.hold()
    ready.clear()  # only now: until the data is ours the file may be that of a process that runs
    await plane.start()
    shown = None
    async for report in plane.reports():
        if report != shown:
            click.echo(table.render(report))
            shown = report
        ready.write(report)  # also when it says the same again: scripts wait for it after their edit
