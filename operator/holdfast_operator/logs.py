"""Logs as JSON, one object a line: when, how grave, who says what, and of which object.

Owns the form. A line about an object may have `object`, `generation` and `decision`: what became of it; callers give them as
`extra`. Neighbours: `main` and `injector`, which turn it on. What people start by hand tells them in plain text.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

_MEMBERS = ("object", "generation", "decision")


class JsonLines(logging.Formatter):
    """ASCII, and no line break inside a line, whatever is in a message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {member: getattr(record, member) for member in _MEMBERS if hasattr(record, member)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_json_lines(level: int = logging.INFO) -> None:
    """To standard error, from now on and for the whole process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
