"""The signing keys (RS256): made once, kept in the store, published as a JWK set."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from local_authority.store import Store

ALGORITHM: Final = "RS256"
KEY_BITS: Final = 2048


class SigningKey(msgspec.Struct, frozen=True):
    """One private key as it is stored; ``made`` orders them, the newest signs."""

    made: int
    jwk: dict[str, Any]


class Keys:
    """The authority's key pairs. ``first`` hands in a key made elsewhere; else one is made where none is stored."""

    def __init__(self, store: Store, *, first: RSAKey | None = None) -> None:
        self._store = store
        stored = sorted(store.every(SigningKey), key=lambda key: key.made)
        self._keys = {key.made: RSAKey.import_key(key.jwk) for key in stored}
        if not self._keys:
            self._keep(1, first or new_key())

    @property
    def newest(self) -> RSAKey:
        """The key that signs."""
        return self._keys[max(self._keys)]

    def published(self) -> list[dict[str, Any]]:
        """The public halves (RFC 7517), newest first."""
        return [{**key.as_dict(private=False)} for _, key in sorted(self._keys.items(), reverse=True)]

    def rotate(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on; the old ones stay published unless told otherwise."""
        made = max(self._keys) + 1
        if not keep_old:
            for old in self._keys:
                self._store.drop(SigningKey, str(old))
            self._keys.clear()
        self._keep(made, new_key())

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """A JWS in compact form (RFC 7515 7.1), signed with the newest key under its ``kid``."""
        return jwt.encode(
            {**header, "alg": ALGORITHM, "kid": self.newest.kid}, claims, self.newest, algorithms=[ALGORITHM]
        )

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that one of our keys signed, expired or not; else None."""
        for key in self._keys.values():
            try:
                return jwt.decode(token, key, algorithms=[ALGORITHM]).claims
            except (JoseError, ValueError):
                continue
        return None

    def _keep(self, made: int, key: RSAKey) -> None:
        self._keys[made] = key
        self._store.put(str(made), SigningKey(made=made, jwk={**key.as_dict(private=True)}))


def new_key() -> RSAKey:
    """An RSA key pair whose ``kid`` is its thumbprint (RFC 7638)."""
    return RSAKey.generate_key(KEY_BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
