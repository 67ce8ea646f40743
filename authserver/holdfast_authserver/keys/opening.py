"""The ring as its options ask for it: for a server, and for a command beside it.

Owns what the options mean, and that a wrong one is told by the name of its setting. Neighbours: `ring`, `options`.
"""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from holdfast.clock import Clock
from holdfast_authserver.keys.envelope import KEY_SIZE, Envelope
from holdfast_authserver.keys.folder_store import FolderStore
from holdfast_authserver.keys.options import KeyOptions
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.rotation import Times
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.keys.store import KeyStore
from holdfast_authserver.keys.table_store import TableStore
from holdfast_authserver.registry.database import Database, DatabaseUnavailable
from holdfast_authserver.registry.opening import database_at
from holdfast_authserver.registry.sqlite_database import SqliteDatabase

NOT_ENCRYPTED = "none"
"""As `key_encryption_key_previous`: what is not encrypted yet is read, and encrypted."""


def open_ring(
    options: KeyOptions, clock: Clock, *, instance: Callable[[], str], database: Callable[[], Database]
) -> KeyRing:
    """Not read yet: `refresh` does. Raises SigningKeyError, which names the setting."""
    envelope = read_envelope(options)
    store: KeyStore = FolderStore(options.keys_dir)
    if not options.database_url.startswith("sqlite"):
        store = TableStore(database, clock)
        if envelope.key is None:
            raise SigningKeyError(
                "key_encryption_key, key_encryption_key_file: expected one, as the keys lie in the database"
            )
        if envelope.plain:
            raise SigningKeyError(
                f"key_encryption_key_previous: {NOT_ENCRYPTED!r} is for a folder; a database holds no such keys"
            )
    times = Times(rotation=timedelta(seconds=options.key_rotation), publication=timedelta(seconds=options.key_publication))
    if times.rotation <= times.publication:
        raise SigningKeyError(
            f"key_rotation: expected more than key_publication ({options.key_publication}), found {options.key_rotation}"
        )
    return KeyRing(store, clock, instance=instance, algorithms=options.signing_algorithms, envelope=envelope, times=times)


@asynccontextmanager
async def ring_beside_server(options: KeyOptions, clock: Clock) -> AsyncIterator[KeyRing]:
    """The ring of the registry that a server with the same options serves. Raises SigningKeyError."""
    try:
        database = database_at(options.database_url)
    except ValueError as error:
        raise SigningKeyError(str(error)) from error
    if isinstance(database, SqliteDatabase) and not database.path.is_file():
        where = f"registry (database_url): {database.path}"
        raise SigningKeyError(f"{where}: no such file; the server makes it at its first start")
    try:
        instance = await _instance(database)
        yield open_ring(options, clock, instance=lambda: instance, database=lambda: database)
    except DatabaseUnavailable as error:
        raise SigningKeyError(f"registry (database_url): {error}") from error
    finally:
        await database.close()


async def _instance(database: Database) -> str:
    async with database.read() as connection:
        found = await connection.scalar(text("SELECT id FROM instance"))
    if found is None:
        raise SigningKeyError("registry (database_url): it has no instance yet; the server makes one at its first start")
    return str(found)


def read_envelope(options: KeyOptions) -> Envelope:
    """Raises SigningKeyError, which names the setting."""
    key = _secret("key_encryption_key", options.key_encryption_key, options.key_encryption_key_file)
    previous = options.key_encryption_key_previous
    if previous is not None and key is None:
        raise SigningKeyError("key_encryption_key_previous: expected key_encryption_key beside it")
    if previous is not None and previous.get_secret_value() == NOT_ENCRYPTED:
        return Envelope(key=key, plain=True)
    return Envelope(key=key, previous=_secret("key_encryption_key_previous", previous, None))


def _secret(name: str, value: SecretStr | None, file: Path | None) -> bytes | None:
    if value is not None and file is not None:
        raise SigningKeyError(f"{name}, {name}_file: expected one of them, found both")
    if file is not None:
        try:
            return _key(f"{name}_file: {file}", file.read_text("ascii"))
        except OSError as error:
            raise SigningKeyError(f"{name}_file: {file}: {error.strerror}") from error
        except UnicodeDecodeError:
            return _key(f"{name}_file: {file}", "")
    return None if value is None else _key(name, value.get_secret_value())


def _key(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise SigningKeyError(
            f"{name}: expected {KEY_SIZE} octets in base64, as `openssl rand -base64 {KEY_SIZE}` prints them"
        )
    return key
