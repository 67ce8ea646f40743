"""JSON without blanks, as whatever is signed or answered has it: in one place, since every request writes some.

Owns which library writes it. Must not know what is written.
"""

from typing import Any

import orjson


def encode(value: dict[str, Any]) -> bytes:
    """UTF-8. Raises TypeError for what is no JSON, such as half a surrogate pair."""
    return orjson.dumps(value)
