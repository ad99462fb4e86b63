"""A signer that lies as told: the tokens' half of the misbehaviours."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from local_authority.keys import ALGORITHM, Keys, new_key
from local_authority.misbehaving.misbehaviours import ABSENT, Misbehaviour, Misbehaviours
from local_authority.secret_values import base64url
from local_authority.tokens import Claims, Kind

HOUR: Final = 3_600
TIMES: Final = ("iat", "nbf", "exp")
UNSIGNED_HEADER: Final = b'{"alg":"none","typ":"JWT"}'

ID_TOKEN_LIES: Final[Mapping[Misbehaviour, Mapping[str, Any]]] = {
    Misbehaviour.ID_TOKEN_WRONG_AUDIENCE: {"aud": "another-client"},
    Misbehaviour.ID_TOKEN_WRONG_ISSUER: {"iss": "https://another-authority.example"},
    Misbehaviour.ID_TOKEN_WRONG_NONCE: {"nonce": "another-nonce"},
    Misbehaviour.ID_TOKEN_WRONG_AZP: {"azp": "another-client"},
    Misbehaviour.ID_TOKEN_WRONG_SUBJECT: {"sub": "another-subject"},
}
REFRESHED_LIES: Final[Mapping[Misbehaviour, Mapping[str, Any]]] = {
    Misbehaviour.REFRESHED_ID_TOKEN_OTHER_SUBJECT: {"sub": "another-subject"},
    Misbehaviour.REFRESHED_ID_TOKEN_OTHER_NONCE: {"nonce": "another-nonce"},
    Misbehaviour.REFRESHED_ID_TOKEN_OTHER_AUTH_TIME: {"auth_time": 1_000_000_000},
}
SHIFTS: Final[Mapping[Misbehaviour, int]] = {
    Misbehaviour.ID_TOKEN_EXPIRED: -48 * HOUR,
    Misbehaviour.ID_TOKEN_FROM_THE_FUTURE: HOUR,
}


@dataclass(slots=True)
class LyingSigner:
    """Signs with ``keys`` whatever ``misbehaviours`` make of header and claims."""

    keys: Keys
    misbehaviours: Misbehaviours
    foreign_key: RSAKey | None = None

    def sign(self, kind: Kind, header: Claims, claims: Claims) -> str:
        """The token, true or not."""
        if kind in {"id", "refreshed_id"}:
            return self._sign_id_token(kind, header, claims)
        overrides = self.misbehaviours.access_token if kind == "access" else self.misbehaviours.logout_token
        return self.keys.sign(header, _changed(claims, overrides))

    def _sign_id_token(self, kind: Kind, header: Claims, claims: Claims) -> str:
        claims = self._lie(claims, ID_TOKEN_LIES)
        if kind == "refreshed_id":
            claims = self._lie(_changed(claims, self.misbehaviours.refreshed_id_token), REFRESHED_LIES)
        else:
            claims = _changed(claims, self.misbehaviours.id_token)
        for name, seconds in SHIFTS.items():
            if self.misbehaviours.take(name, "token"):
                shifted: Claims = {claim: claims[claim] + seconds for claim in TIMES if claim in claims}
                claims = {**claims, **shifted}
        return self._sign_wrongly(header, claims) or self.keys.sign(header, claims)

    def _lie(self, claims: Claims, lies: Mapping[Misbehaviour, Mapping[str, Any]]) -> Claims:
        for name, overrides in lies.items():
            if self.misbehaviours.take(name, "token"):
                claims = _changed(claims, overrides)
        return claims

    def _sign_wrongly(self, header: Claims, claims: Claims) -> str | None:
        if self.misbehaviours.take(Misbehaviour.ID_TOKEN_ALG_NONE, "token"):
            return _unsigned(self.keys.sign(header, claims))
        if self.misbehaviours.take(Misbehaviour.ID_TOKEN_HS256_WITH_PUBLIC_KEY, "token"):
            return self._signed_with_public_key(header, claims)
        if self.misbehaviours.take(Misbehaviour.ID_TOKEN_FOREIGN_KEY, "token"):
            return self._signed_by_stranger(header, claims, kid=str(self.keys.newest.kid))
        if self.misbehaviours.take(Misbehaviour.ID_TOKEN_UNKNOWN_KID, "token"):
            return self._signed_by_stranger(header, claims, kid="nobody-knows-this-key")
        return None

    def _signed_with_public_key(self, header: Claims, claims: Claims) -> str:
        """By hand: joserfc rightly takes no public key for a secret."""
        secret = self.keys.newest.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        confused = {**header, "alg": "HS256", "kid": self.keys.newest.kid}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (confused, claims))
        return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def _signed_by_stranger(self, header: Claims, claims: Claims, *, kid: str) -> str:
        self.foreign_key = self.foreign_key or new_key()
        return jwt.encode({**header, "alg": ALGORITHM, "kid": kid}, claims, self.foreign_key, algorithms=[ALGORITHM])


def _changed(claims: Claims, overrides: Mapping[str, Any]) -> Claims:
    return {name: value for name, value in {**claims, **overrides}.items() if value is not ABSENT}


def _unsigned(token: str) -> str:
    return f"{base64url(UNSIGNED_HEADER)}.{token.split('.')[1]}."
