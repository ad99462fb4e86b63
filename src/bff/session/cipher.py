"""Seals: authenticated encryption with a key per purpose. The only door to ``cryptography`` for cookies.

A sealed value is base64url of ``version ‖ key id ‖ nonce ‖ ciphertext`` (AES-256-GCM), and in the ciphertext lie
``sealed at ‖ instance ‖ length ‖ payload ‖ padding``.
Purpose, cookie name, version and key id are authenticated with it, so that no value opens in another's place (ATK-15).
"""

from __future__ import annotations

import base64
import os
import re
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable
from bff.session.key_ring import CLOCK_TOLERANCE, Key, KeyRing, read_keys, write_keys
from bff.telemetry.logs import get_logger

__all__ = [
    "Cipher",
    "Key",
    "KeyRing",
    "Opened",
    "Sealer",
    "SharedSealer",
    "open_under",
    "read_keys",
    "seal_under",
    "write_keys",
]

VERSION = 1
INSTANCE_BYTES = 8

_HEAD = struct.Struct(">B4s")  # version, key id
_INNER = struct.Struct(f">d{INSTANCE_BYTES}sI")  # sealed at, instance, length of the payload
_NONCE = 12
_TAG = 16
_PAD = 128
_LONGEST = 20 * 1024  # five cookies of 4,096 bytes
_LONGEST_SHARED = 80 * 1024  # a session has at most 64 KiB before it is deflated, which may make it a little longer
_CANONICAL = re.compile(rb"[A-Za-z0-9_-]+")

# A random 96-bit nonce may be drawn 2^32 times per key (NIST SP 800-38D 8.3); half of that is the time to rotate.
_ROTATE_AT = 2**31
_REFUSE_AT = 2**32

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a seal held, and who sealed it when: an instant in seconds, the key's id, the sealing process's instance."""

    payload: bytes = field(repr=False)
    sealed_at: float
    key_id: str
    instance: bytes


class Cipher:
    """Derives one AES-256-GCM key per purpose and key of the ring, for this client at this origin only (rule F22)."""

    def __init__(self, ring: KeyRing, clock: Clock, *, client_id: str, origin: str, instance: bytes = b"") -> None:
        self.ring = ring
        self.instance = instance.ljust(INSTANCE_BYTES, b"\0")[:INSTANCE_BYTES]
        self.clock = clock
        self._scope = (client_id.encode(), origin.encode())
        self._revision = ring.revision
        self._aead: dict[tuple[str, bytes], AESGCM] = {}
        self._signing: dict[tuple[str, bytes], bytes] = {}

    def sealer(self, purpose: str, cookie_name: str) -> Sealer:
        """Seals and opens values of one purpose in one cookie."""
        return Sealer(self, purpose, cookie_name)

    def derived(self, key: Key, purpose: str) -> bytes:
        """32 bytes that belong to one key, one purpose, this client and this origin (RFC 5869)."""
        return _derive(key.secret, purpose.encode(), *self._scope)

    def aead(self, purpose: str, wire_id: bytes) -> AESGCM | None:
        """The cipher of one purpose under one key, or None where the ring has no such key."""
        self._forget_changed()
        found = self._aead.get((purpose, wire_id))
        if found is None and (key := self.key(wire_id)) is not None:
            found = self._aead[purpose, wire_id] = AESGCM(self.derived(key, f"seal {purpose}"))
        return found

    def signing_key(self, purpose: str, wire_id: bytes) -> bytes | None:
        """What signs for one purpose under one key, or None where the ring has no such key."""
        self._forget_changed()
        found = self._signing.get((purpose, wire_id))
        if found is None and (key := self.key(wire_id)) is not None:
            found = self._signing[purpose, wire_id] = self.derived(key, f"mac {purpose}")
        return found

    def _forget_changed(self) -> None:
        if self._revision != self.ring.revision:
            self._aead.clear()
            self._signing.clear()
            self._revision = self.ring.revision

    def key(self, wire_id: bytes) -> Key | None:
        """The key of the ring with this id."""
        return next((key for key in self.ring.keys if key.wire_id == wire_id), None)


class Sealer:
    """One purpose, one cookie name. ``seal`` never yields the same bytes twice, ``open`` never raises for bad input."""

    def __init__(self, cipher: Cipher, purpose: str, cookie_name: str) -> None:
        self._cipher = cipher
        self._purpose = purpose
        self._bound_to = _joined(purpose.encode(), cookie_name.encode())

    @staticmethod
    def sealed_length(payload_length: int) -> int:
        """How many characters a payload of so many bytes becomes."""
        raw = _HEAD.size + _NONCE + _padded(payload_length) + _TAG
        return -(-raw * 4 // 3)

    def seal(self, payload: bytes) -> bytes:
        """Seal with the newest key whose time has come; raises ``SessionStoreUnavailable`` once it is worn out."""
        key = self._cipher.ring.sealing_key
        _count(self._cipher.ring, key)
        aead = self._cipher.aead(self._purpose, key.wire_id)
        assert aead is not None  # noqa: S101 — the sealing key is a key of the ring
        head = _HEAD.pack(VERSION, key.wire_id)
        nonce = os.urandom(_NONCE)
        inner = _INNER.pack(self._cipher.clock.now(), self._cipher.instance, len(payload)) + payload
        sealed = aead.encrypt(nonce, inner.ljust(_padded(len(payload)), b"\0"), self._bound_to + head)
        return base64.urlsafe_b64encode(head + nonce + sealed).rstrip(b"=")

    def open(self, value: bytes, *, max_age: float | None = None) -> Opened | None:
        """Open one spelling of one value, or answer None for every kind of bad input, whatever is wrong with it.

        ``max_age`` is in seconds; our own clocks may lie 300 s apart in either direction (rule F17).
        """
        raw = _decoded(value)
        if raw is None or len(raw) < _HEAD.size + _NONCE + _PAD + _TAG or raw[0] != VERSION:
            return None
        wire_id = raw[1 : _HEAD.size]
        aead = self._cipher.aead(self._purpose, wire_id)
        if aead is None:
            return None
        body = _HEAD.size + _NONCE
        try:
            inner = aead.decrypt(raw[_HEAD.size : body], raw[body:], self._bound_to + raw[: _HEAD.size])
        except InvalidTag:
            return None
        sealed_at, instance, length = _INNER.unpack_from(inner)
        age = self._cipher.clock.now() - sealed_at
        if age < -CLOCK_TOLERANCE or (max_age is not None and age > max_age + CLOCK_TOLERANCE):
            return None
        self._cipher.ring.opens[wire_id.hex()] += 1
        return Opened(inner[_INNER.size : _INNER.size + length], sealed_at, wire_id.hex(), instance)


class SharedSealer:
    """Seals what the ring and a key that only a browser holds open together, and neither of them alone (rule F9)."""

    def __init__(self, cipher: Cipher, purpose: str) -> None:
        self._cipher = cipher
        self._purpose = purpose

    def seal(self, payload: bytes, *, browser_key: bytes, bound_to: bytes) -> bytes:
        """Seal for one place: what lies in another's does not open. Raises as ``Sealer.seal`` does."""
        cipher = self._cipher
        key = cipher.ring.sealing_key
        _count(cipher.ring, key)
        head, nonce = _HEAD.pack(VERSION, key.wire_id), os.urandom(_NONCE)
        inner = _INNER.pack(cipher.clock.now(), cipher.instance, len(payload)) + payload
        aead = self._aead(key, browser_key)
        return head + nonce + aead.encrypt(nonce, inner.ljust(_padded(len(payload)), b"\0"), self._aad(head, bound_to))

    def open(self, sealed: bytes, *, browser_key: bytes, bound_to: bytes) -> Opened | None:
        """Open it, or answer None, whatever is wrong with it."""
        if not _HEAD.size + _NONCE + _PAD + _TAG <= len(sealed) <= _LONGEST_SHARED or sealed[0] != VERSION:
            return None
        wire_id = sealed[1 : _HEAD.size]
        ring = self._cipher.ring
        key = self._cipher.key(wire_id)
        if key is None:
            return None
        head, body = sealed[: _HEAD.size], _HEAD.size + _NONCE
        try:
            inner = self._aead(key, browser_key).decrypt(
                sealed[_HEAD.size : body], sealed[body:], self._aad(head, bound_to)
            )
        except InvalidTag:
            return None
        sealed_at, instance, length = _INNER.unpack_from(inner)
        ring.opens[key.id] += 1
        return Opened(inner[_INNER.size : _INNER.size + length], sealed_at, key.id, instance)

    def _aead(self, key: Key, browser_key: bytes) -> AESGCM:
        ours = self._cipher.derived(key, f"share {self._purpose}")
        return AESGCM(_derive(_joined(ours, browser_key), self._purpose.encode()))

    def _aad(self, head: bytes, bound_to: bytes) -> bytes:
        return _joined(self._purpose.encode(), bound_to) + head


def seal_under(secret: str, payload: bytes, *, purpose: str, about: str) -> bytes:
    """Seal with a key that only the holder of another secret has: the ledger's file alone opens nothing (rule F4)."""
    nonce = os.urandom(_NONCE)
    aead = AESGCM(_derive(secret.encode(), purpose.encode(), about.encode()))
    return nonce + aead.encrypt(nonce, payload, purpose.encode())


def open_under(secret: str, sealed: bytes, *, purpose: str, about: str) -> bytes | None:
    """The payload of ``seal_under``, or None for anything else."""
    aead = AESGCM(_derive(secret.encode(), purpose.encode(), about.encode()))
    try:
        return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())
    except (InvalidTag, ValueError):
        return None


def _count(ring: KeyRing, key: Key) -> None:
    if ring.seals[key.id] >= _REFUSE_AT:
        raise SessionStoreUnavailable(f"key {key.id} has sealed 2^32 values. Cure: add a key to the ring")
    ring.seals[key.id] += 1
    if ring.seals[key.id] == _ROTATE_AT:
        _log.warning("key_needs_rotation", key_id=key.id, seals=_ROTATE_AT)


def _derive(secret: bytes, *info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=b"bff session v1", info=_joined(*info)).derive(secret)


def _joined(*parts: bytes) -> bytes:
    """Each part behind its length, so that no two lists of parts become the same bytes."""
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def _padded(payload_length: int) -> int:
    return -(-(_INNER.size + payload_length) // _PAD) * _PAD


def _decoded(value: bytes) -> bytes | None:
    """The bytes of the one canonical spelling (rule F20); the standard library alone accepts unboundedly many."""
    if len(value) > _LONGEST or not _CANONICAL.fullmatch(value):
        return None
    if len(value) % 4 == 1:
        return None
    raw = base64.urlsafe_b64decode(value + b"=" * (-len(value) % 4))
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == value else None
