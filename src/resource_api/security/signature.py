"""What a verification key is, and whether a token was signed with it: the only door to python-jose.

A ``Key`` is built once, from a published asymmetric JWK, for one algorithm. A token's header never chooses code or key
material: HMAC, JWE, ``none``, PEM and DER sniffing, where python-jose's open CVEs live, are never reached.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jose import jwk
from jose.backends.base import Key
from jose.exceptions import JOSEError

ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
"""What can be verified at all: algorithm -> (``kty``, ``crv``) of RFC 7518 3.1 and 6."""

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # a longer key is a way to keep our processor busy, not a way to be safer
MAX_KID_LENGTH = 256
_COORDINATE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66}
_MATERIAL = {"RSA": ("n", "e"), "EC": ("x", "y")}
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_BASE64URL = re.compile(rf"[A-Za-z0-9_-]{{1,{-(-MAX_RSA_BITS // 6)}}}").fullmatch


class UnusableKeyError(ValueError):
    """A published key that must not verify anything; the text says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key for one algorithm; ``issuer`` is the key's own, where it has one; equal means equal material."""

    kid: str | None
    alg: str
    issuer: str | None
    material: tuple[str, ...] = field(repr=False)
    _key: Key = field(repr=False, compare=False)

    def made(self, signature: bytes, signed: bytes) -> bool:
        """Whether this key made the signature of these bytes: a JWS's first two segments (RFC 7515 5.2)."""
        try:
            return self._key.verify(signed, signature)
        except JOSEError:
            return False


def read_key_set(document: Mapping[str, Any], algorithms: frozenset[str]) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK Set (RFC 7517 5); what must not verify is left out, two keys of one ``kid`` both.

    Raises UnusableKeyError where the document is no JWK Set.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise UnusableKeyError("no JWK Set")
    objects = [entry for entry in entries if isinstance(entry, dict)]
    times = Counter(entry["kid"] for entry in objects if isinstance(entry.get("kid"), str))
    return tuple(
        key
        for entry in objects
        if not isinstance(entry.get("kid"), str) or times[entry["kid"]] == 1
        for key in _usable(entry, algorithms)
    )


def _usable(entry: Mapping[str, Any], algorithms: frozenset[str]) -> Iterator[VerificationKey]:
    try:
        yield from read_key(entry, algorithms)
    except UnusableKeyError:
        return


def read_key(entry: Mapping[str, Any], algorithms: Iterable[str]) -> list[VerificationKey]:
    """A JWK as a key for its own algorithm or, where it names none, for each of ``algorithms`` that fits its type.

    Raises UnusableKeyError for symmetric and private keys, for other uses than signing, for RSA outside 2,048 to 8,192
    bits, and for a curve or a coordinate that is not the algorithm's own (RFC 7518 6.2, 6.3).
    """
    kid, own_issuer, named = entry.get("kid"), entry.get("issuer"), entry.get("alg")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise UnusableKeyError("kid")
    if not all(one is None or isinstance(one, str) for one in (own_issuer, named)):
        raise UnusableKeyError("issuer or alg")
    _check_purpose(entry)
    material = _material(entry)
    fitting = [
        alg
        for alg in algorithms
        if named in {None, alg}
        and ALGORITHMS.get(alg) == (entry["kty"], entry.get("crv") if entry["kty"] == "EC" else None)
    ]
    return [VerificationKey(kid, alg, own_issuer, material, _prepared(entry, alg)) for alg in fitting]


def _check_purpose(entry: Mapping[str, Any]) -> None:
    if entry.keys() & _SECRET_MEMBERS:
        raise UnusableKeyError("symmetric or private")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError("not for verifying")


def _material(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The public numbers as they were published, each canonical base64url."""
    names = _MATERIAL.get(str(entry.get("kty")))
    if names is None:
        raise UnusableKeyError("kty")
    values = [entry.get(name) for name in names]
    if not all(isinstance(value, str) and _BASE64URL(value) for value in values):
        raise UnusableKeyError("key material")
    if entry["kty"] == "EC" and any(len(value or "") != _characters(str(entry.get("crv"))) for value in values):
        raise UnusableKeyError("coordinate length")
    return (str(entry["kty"]), *(str(value) for value in values))


def _characters(curve: str) -> int:
    return -(-_COORDINATE_BYTES.get(curve, 0) * 4 // 3)


def _prepared(entry: Mapping[str, Any], alg: str) -> Key:
    members = {name: entry[name] for name in ("kty", "crv", *_MATERIAL[entry["kty"]]) if name in entry}
    try:
        key = jwk.construct(members, alg)
    except (JOSEError, ValueError, TypeError, KeyError) as error:
        raise UnusableKeyError("key material") from error
    bits: int = key.prepared_key.key_size  # type: ignore[attr-defined]  # both backends have it, Key declares none
    if entry["kty"] == "RSA" and not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise UnusableKeyError("RSA key size")
    return key
