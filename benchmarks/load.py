"""Load: one client asking for tokens over kept-alive mutual-TLS connections, as fast as it is answered.

    python -m benchmarks.load FOLDER PORT SECONDS     prints the number of tokens and the seconds it took, as JSON

A process of its own, so that its cost is not the server's. Every answer must be a 200 that holds an access token; any
other ends the run. Must not know which server answers.
"""

import json
import socket
import ssl
import sys
import time
from pathlib import Path

from benchmarks.scenario import FORM, TOKEN_PATH, Scenario

CONNECTIONS = 16
_REQUEST = (
    f"POST {TOKEN_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    f"Content-Length: {len(FORM)}\r\n\r\n{FORM}"
).encode()


class Connection:
    """One kept-alive connection with the client's certificate."""

    def __init__(self, scenario: Scenario, port: int) -> None:
        context = ssl.create_default_context(cafile=str(scenario.server("ca.crt")))
        context.load_cert_chain(scenario.client("tls.crt"), scenario.client("tls.key"))
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw, server_hostname="127.0.0.1")

    def ask(self) -> None:
        self._socket.sendall(_REQUEST)

    def answer(self) -> str:
        """The access token. Raises RuntimeError when the answer is anything else."""
        received = self._socket.recv(65536)
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        if not head.startswith(b"HTTP/1.1 200 ") or b'"access_token"' not in body:
            raise RuntimeError(f"expected a token, got {head[:15]!r}")
        return str(json.loads(body)["access_token"])

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data


def run(scenario: Scenario, port: int, seconds: float) -> dict[str, float]:
    """Keeps one request under way on each connection for that long."""
    connections = [Connection(scenario, port) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.ask()
    tokens, began = 0, time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        for connection in connections:
            connection.answer()
            connection.ask()
        tokens += CONNECTIONS
    for connection in connections:
        connection.answer()
    return {"tokens": tokens + CONNECTIONS, "seconds": elapsed}


if __name__ == "__main__":
    print(json.dumps(run(Scenario(Path(sys.argv[1])), int(sys.argv[2]), float(sys.argv[3]))))
