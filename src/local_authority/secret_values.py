"""Randomness, digests and secret files: what is handed out is unguessable, what is kept of it is a digest."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

from local_authority.errors import ConfigurationError

SECRET_BYTES: Final = 32
SHORTEST_SECRET: Final = 32


def new_secret() -> str:
    """256 random bits, as base64url."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_id() -> str:
    """A random GUID in its usual spelling."""
    return str(uuid.uuid4())


def digest(secret: str) -> str:
    """What is kept of a code, a refresh token or a session cookie: nobody who reads the store can use it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(left: str, right: str) -> bool:
    """Whether two secrets are equal, in a time that says nothing about where they differ."""
    return hmac.compare_digest(digest(left), digest(right))


def base64url(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def keyed_digest(key: str, *parts: str) -> str:
    """HMAC-SHA256 over unambiguously joined parts, as base64url."""
    message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return base64url(hmac.digest(key.encode(), message, "sha256"))


def secret_in_file(path: Path) -> str:
    """The secret in ``path``; made there with mode 0600 where there is none yet. ConfigurationError for a weak one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_text(encoding="utf-8").strip()
    else:
        secret = new_secret()
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError([f"{path}: holds fewer than {SHORTEST_SECRET} characters; remove it and one is made."])
    return secret
