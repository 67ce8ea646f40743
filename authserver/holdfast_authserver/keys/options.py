"""What the ring of keys is made from, as values: where keys lie, how they are kept, and when they take turns.

The names are those of the settings, so that what is wrong with one is told by its name (`opening.py`).
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOptions:
    """`database_url`: of the registry; where that is no SQLite file, the keys lie in it, else in `keys_dir`.

    `key_rotation`, `key_publication`: seconds. `key_encryption_key`: base64, in one of two places.
    """

    database_url: str
    keys_dir: Path
    signing_algorithms: tuple[str, ...]
    key_rotation: int
    key_publication: int
    key_encryption_key: SecretStr | None = None
    key_encryption_key_file: Path | None = None
    key_encryption_key_previous: SecretStr | None = None
