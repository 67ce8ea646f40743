"""A worker process: reads its order from the parent, serves until SIGTERM, or until the parent is gone.

Run as `python -m holdfast_authserver.workers.worker` by the parent alone.
"""

import asyncio
import os
import sys

from holdfast_authserver.server import StartError, prepare_logging, serve
from holdfast_authserver.workers.order import read_order

_STDIN = 0


async def _parent_is_gone() -> None:
    """The parent keeps the other end of the standard input open for as long as it lives, however it ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def look() -> None:
        if not os.read(_STDIN, 1):
            loop.remove_reader(_STDIN)
            ended.set()

    loop.add_reader(_STDIN, look)
    await ended.wait()


def main() -> int:
    """Exit code 2 and one line when it cannot start."""
    prepare_logging()
    try:
        with open(_STDIN, "rb", buffering=0, closefd=False) as stream:  # nothing must stay in a buffer
            order = read_order(stream)
        serve(order.settings, ops_socket=order.ops_socket, stop_with=_parent_is_gone)
    except EOFError:
        return 0
    except StartError as error:
        print(f"holdfast authserver: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
