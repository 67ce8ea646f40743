"""The ring as the settings ask for it.

Owns what the settings of keys mean, and that a wrong one is told by its name. Neighbours: `ring`, `settings.py`.
"""

import base64
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from holdfast.clock import Clock
from holdfast_authserver.keys.envelope import KEY_SIZE, Envelope
from holdfast_authserver.keys.folder_store import FolderStore
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.rotation import Times
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.keys.store import KeyStore
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.settings import Settings

NOT_ENCRYPTED = "none"
"""As `key_encryption_key_previous`: what is not encrypted yet is read, and encrypted."""


def open_ring(settings: Settings, clock: Clock, keeper: RegistryKeeper) -> KeyRing:
    """Not read yet: `refresh` does. Raises SigningKeyError, which names the setting."""
    store: KeyStore = FolderStore(settings.keys_dir)
    times = Times(rotation=timedelta(seconds=settings.key_rotation), publication=timedelta(seconds=settings.key_publication))
    if times.rotation <= times.publication:
        raise SigningKeyError(
            f"key_rotation: expected more than key_publication ({settings.key_publication}), found {settings.key_rotation}"
        )
    return KeyRing(
        store,
        clock,
        instance=lambda: keeper.snapshot.instance,
        algorithms=settings.signing_algorithms,
        envelope=read_envelope(settings),
        times=times,
    )


def read_envelope(settings: Settings) -> Envelope:
    """Raises SigningKeyError, which names the setting."""
    key = _secret("key_encryption_key", settings.key_encryption_key, settings.key_encryption_key_file)
    previous = settings.key_encryption_key_previous
    plain = previous is not None and previous.get_secret_value() == NOT_ENCRYPTED
    if previous is not None and key is None:
        raise SigningKeyError("key_encryption_key_previous: expected key_encryption_key beside it")
    return Envelope(key=key, previous=None if plain else _secret("key_encryption_key_previous", previous, None), plain=plain)


def _secret(name: str, value: SecretStr | None, file: Path | None) -> bytes | None:
    if value is not None and file is not None:
        raise SigningKeyError(f"{name}, {name}_file: expected one of them, found both")
    if file is not None:
        try:
            return _key(f"{name}_file: {file}", file.read_text("ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise SigningKeyError(f"{name}_file: {file}: {getattr(error, 'strerror', None) or 'no base64'}") from error
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
