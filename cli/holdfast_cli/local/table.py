"""What people read: a table of clients, what is wrong with the folder, the issuer, and a curl line to paste.

Owns layout alone. Neighbours: `report` is what it says.
"""

import shlex
from collections.abc import Sequence

from holdfast_cli.local.report import Addresses, ClientState, Report
from holdfast_cli.terminal import visible

MOST_LINES = 50  # of one list; a person mends the first and looks again


def render(report: Report) -> str:
    """The whole picture as text."""
    parts = [_clients(report.clients)]
    if report.policies:
        parts.append(_policies(report))
    if report.problems:
        parts.append("Wrong in the folder (what was good before stays in force):\n" + _indented(report.problems))
    if report.notes:
        parts.append("Left alone:\n" + _indented(report.notes))
    parts.append(f"Issuer  {visible(report.addresses.issuer)}")
    example = next((c for c in report.clients if c.ready and c.cert_file and not c.reservation), None)
    if example is not None:
        parts.append("Get a token:\n" + curl(example, report.addresses))
    return "\n\n".join(parts) + "\n"


def curl(client: ClientState, addresses: Addresses) -> str:
    """A line that fetches a token for the client."""
    words = ["curl", "--cacert", addresses.ca_file, "--cert", client.cert_file or "", "--key", client.key_file or ""]
    words += ["-d", "grant_type=client_credentials", "-d", f"client_id={client.client_id}", addresses.mtls_token_endpoint]
    return visible(shlex.join(words))


def _clients(clients: Sequence[ClientState]) -> str:
    if not clients:
        return "No OAuthClient in the folder yet."
    head = ("NAMESPACE", "NAME", "CLIENT-ID", "READY", "REASON", "EXPIRES")
    rows = [
        (c.namespace, c.name, c.client_id or "-", "yes" if c.ready else "no", c.reason, c.expires or "-") for c in clients
    ]
    text = _table([head, *rows])
    why = [f"{c.namespace}/{c.name}: {c.message}" for c in clients if not c.ready]
    but = [f"{c.namespace}/{c.name}: {c.reservation}" for c in clients if c.ready and c.reservation]
    text += "\n\nNot ready:\n" + _indented(why) if why else ""
    return text + ("\n\nReady, but:\n" + _indented(but) if but else "")


def _policies(report: Report) -> str:
    rows = [(p.name, p.mode, "yes" if p.accepted else "no", str(p.matched), str(p.broken_by)) for p in report.policies]
    text = _table([("POLICY", "MODE", "ACCEPTED", "MATCHED", "VIOLATIONS"), *rows])
    why = [f"{p.name}: {p.message}" for p in report.policies if not p.accepted]
    return text + ("\n\nNot accepted:\n" + _indented(why) if why else "")


def _table(rows: Sequence[Sequence[str]]) -> str:
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown)


def _indented(lines: Sequence[str]) -> str:
    shown = [f"  {visible(line)}" for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"  and {len(lines) - MOST_LINES} more")
    return "\n".join(shown)
