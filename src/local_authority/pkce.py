"""Proof key for code exchange (RFC 7636), S256 only."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from local_authority.secret_values import base64url

VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def proves(verifier: str, challenge: str) -> bool:
    """Whether ``challenge`` is the S256 digest of ``verifier``, which has the form of RFC 7636 4.1."""
    if not VERIFIER.fullmatch(verifier):
        return False
    return hmac.compare_digest(base64url(hashlib.sha256(verifier.encode()).digest()), challenge)
