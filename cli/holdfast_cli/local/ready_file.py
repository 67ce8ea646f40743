"""The ready file: what scripts read. Its members are a contract.

Owns their names and that a reader sees a whole file or none. Neighbours: `report` is what it says.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast_cli.local.report import Report

CLIENT_MEMBERS = (
    *("namespace", "name", "client_id", "ready", "reason", "message"),
    *("cert_file", "key_file", "chain_file"),
)


def content(report: Report) -> dict[str, Any]:
    """The JSON value: addresses, `clients`, `policies`."""
    return {
        **asdict(report.addresses),
        "clients": [{member: getattr(client, member) for member in CLIENT_MEMBERS} for client in report.clients],
        "policies": [asdict(policy) for policy in report.policies],
    }


def write(path: Path, report: Report) -> None:
    """Replace the file as a whole. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content(report), indent=2) + "\n")
    os.replace(temporary, path)
