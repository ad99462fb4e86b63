"""The key ring: which secret seals now, which may still open, and the file they lie in."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bff.clock import Clock, SystemClock
from bff.errors import ConfigurationError

CLOCK_TOLERANCE = 300.0  # seconds that the clocks of our own replicas may lie apart (rule F17)

_ID_BYTES = 4
_SECRET_BYTES = 32
_OTHERS_MAY_READ = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One root secret of at least 32 bytes. ``id`` is 8 hexadecimal digits, ``use_from`` an instant in seconds."""

    id: str
    secret: bytes = field(repr=False)
    use_from: float

    def __post_init__(self) -> None:
        if len(self.id) != 2 * _ID_BYTES or set(self.id) - set("0123456789abcdef"):
            raise ValueError("a key's id is 8 hexadecimal digits")
        if len(self.secret) < _SECRET_BYTES:
            raise ValueError("a key's secret has 32 bytes or more")

    @property
    def wire_id(self) -> bytes:
        """The id as it lies in a sealed value: 4 bytes."""
        return bytes.fromhex(self.id)

    @classmethod
    def generate(cls, *, use_from: float) -> Key:
        """A new random key; its id is random too, so that rings made apart never share one by accident."""
        return cls(id=secrets.token_hex(_ID_BYTES), secret=secrets.token_bytes(_SECRET_BYTES), use_from=use_from)


class _FileKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    secret: str
    use_from: datetime


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[_FileKey]


class KeyRing:
    """Some keys and a clock: the newest whose time has come seals, every one opens.

    ``revision`` grows whenever the keys change: whoever remembers an opened value forgets it then (rule F20).
    ``seals`` and ``opens`` count per key id what this process did (rule F22, B10).
    """

    def __init__(self, keys: tuple[Key, ...], clock: Clock, *, path: Path | None = None) -> None:
        _check(keys, clock)
        self._clock = clock
        self._path = path
        self.revision = 0
        self.keys = keys
        self.seals: Counter[str] = Counter()
        self.opens: Counter[str] = Counter()

    @classmethod
    def generate(cls, clock: Clock | None = None) -> KeyRing:
        """A ring of one new key that lives in memory only: whoever restarts signs everybody out."""
        return cls((Key.generate(use_from=0.0),), clock or SystemClock())

    @classmethod
    def load(cls, path: Path, clock: Clock) -> KeyRing:
        """The ring in a file that nobody but its owner may read; raises ``ConfigurationError`` with the cure."""
        return cls(read_keys(path), clock, path=path)

    def reload(self) -> bool:
        """Read the file again; say whether the keys changed; a file that cannot be used changes nothing, and raises."""
        if self._path is None:
            return False
        keys = read_keys(self._path)
        if keys == self.keys:
            return False
        self.replace(keys)
        return True

    def replace(self, keys: tuple[Key, ...]) -> None:
        """Use other keys from now on."""
        _check(keys, self._clock)
        self.keys = keys
        self.revision += 1

    @property
    def sealing_key(self) -> Key:
        """The newest key whose time has come; every replica may hold a key before any replica seals with it."""
        now = self._clock.now()
        due = [key for key in self.keys if key.use_from <= now]
        return max(due, key=lambda key: key.use_from) if due else min(self.keys, key=lambda key: key.use_from)


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file (JSON: ``{"keys": [{"id", "secret", "use_from"}]}``), oldest first."""
    try:
        if path.stat().st_mode & _OTHERS_MAY_READ:
            raise ConfigurationError([f"others may read the key file {path}. Cure: chmod 600 {path}"])
        found = msgspec.json.decode(path.read_bytes(), type=_File)
        keys = [Key(id=key.id, secret=_decoded(key.secret), use_from=_instant(key.use_from)) for key in found.keys]
    except OSError as error:
        raise ConfigurationError([f"the key file {path} cannot be read: {error.strerror}. Cure: bff keys"]) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigurationError([f"the key file {path} is not one of ours: {error}. Cure: bff keys"]) from error
    return tuple(sorted(keys, key=lambda key: key.use_from))


def write_keys(path: Path, keys: tuple[Key, ...]) -> None:
    """Write the ring's file at once and whole, readable by its owner only."""
    content = _File(
        keys=[
            _FileKey(
                id=key.id,
                secret=base64.urlsafe_b64encode(key.secret).decode().rstrip("="),
                use_from=datetime.fromtimestamp(key.use_from, UTC),
            )
            for key in keys
        ]
    )
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _instant(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _decoded(secret: str) -> bytes:
    try:
        return base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("a key's secret is base64url") from None  # the library's message may quote the secret


def _check(keys: tuple[Key, ...], clock: Clock) -> None:
    causes = []
    if not keys:
        causes.append("the key ring is empty. Cure: bff keys")
    if len({key.id for key in keys}) != len(keys):
        causes.append("two keys of the ring have the same id. Cure: give each its own")
    if len({key.secret for key in keys}) != len(keys):
        causes.append("two keys of the ring have the same secret. Cure: make a new one with bff keys")
    if keys and min(key.use_from for key in keys) > clock.now() + CLOCK_TOLERANCE:
        causes.append("no key of the ring may be used yet. Cure: keep the old key, or an earlier use_from")
    if causes:
        raise ConfigurationError(causes)
