"""What the ring needs of a place that keeps books of keys: one sealed value for each registry instance, compare and swap.

Implementations: `folder_store` (beside a SQLite registry), `table_store` (in PostgreSQL). They know no keys and no
encryption; what they hold is octets.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EarlierKey:
    """A key in the form that `earlier_form` reads, and where it is kept."""

    where: str
    pem: bytes = field(repr=False)


class KeyStore(Protocol):
    """Raises SigningKeyError whenever the place cannot be read or written."""

    def where(self, instance: str) -> str:
        """The place, as an error message names it."""
        ...

    async def read(self, instance: str) -> bytes | None:
        """The newest value; None where there is none."""
        ...

    async def swap(self, instance: str, old: bytes | None, new: bytes) -> bool:
        """Put `new` where `old` is (None: where nothing is), durably. False, and nothing done, when it is not."""
        ...

    async def earlier(self, instance: str) -> EarlierKey | None:
        """The one key that a server kept before there were rings; None where there is none."""
        ...

    async def remove_earlier(self, instance: str) -> None:
        """That key is in a book now."""
        ...
