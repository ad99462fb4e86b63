"""What the makers of vectors share: keys of one run, RSA without any rule of padding, and tokens put together by hand.

The claims are those of a person's access token, valid from 2025 to 2100, so that a file of vectors does not expire.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.world.tokens import access_claims

BEGINS: Final = 1_735_689_600
ENDS: Final = 4_102_444_800
TIMES: Final = {"iat": BEGINS, "nbf": BEGINS, "exp": ENDS}
VALID, INVALID, EITHER = "valid", "invalid", "acceptable"
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The number of points of P-256 (SEC 2, 2.4.2)."""

RSAKey = rsa.RSAPrivateKey
ECKey = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one run of the makers; only their public halves are ever written."""

    rsa: RSAKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)
    cube: RSAKey = field(default_factory=lambda: rsa.generate_private_key(3, 2048), repr=False)
    ec: ECKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False)
    p384: ECKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()), repr=False)
    stranger: RSAKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)


def b64url(value: bytes) -> str:
    """base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def number(value: int, size: int | None = None) -> str:
    """Base64urlUInt (RFC 7518 2), or a coordinate of ``size`` bytes."""
    return b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def jwk(key: RSAKey | ECKey, kid: str, **members: object) -> dict[str, Any]:
    """A public key as a key set publishes it; None leaves a member out."""
    public: dict[str, Any]
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        public = {"kty": "RSA", "alg": "RS256", "n": number(numbers.n), "e": number(numbers.e)}
    else:
        point, size = key.public_key().public_numbers(), (key.curve.key_size + 7) // 8
        public = {"kty": "EC", "alg": f"ES{key.curve.key_size}", "crv": f"P-{key.curve.key_size}"}
        public |= {"x": number(point.x, size), "y": number(point.y, size)}
    whole = {**public, "kid": kid, "use": "sig", **members}
    return {name: value for name, value in whole.items() if value is not None}


def payload(**overrides: object) -> bytes:
    """The claims as JSON; ``tests.world.tokens.ABSENT`` leaves one out."""
    return json.dumps(access_claims(**{"uti": "vector", **TIMES, **overrides})).encode()  # type: ignore[arg-type]  # any claim


def head(alg: str = "RS256", kid: str = "rsa", **members: Any) -> dict[str, object]:
    """A header, with members added or replaced."""
    return {"typ": "JWT", "alg": alg, "kid": kid, **members}


def signing_input(header: Mapping[str, object] | bytes, body: bytes | None = None) -> bytes:
    """The first two segments of a token."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return f"{b64url(encoded)}.{b64url(payload() if body is None else body)}".encode()


def compact(signed: bytes, signature: bytes) -> str:
    """The token of a signing input and a signature."""
    return f"{signed.decode()}.{b64url(signature)}"


def rs256(key: RSAKey, signed: bytes) -> bytes:
    """A good RSA signature."""
    return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def raw_rsa(key: RSAKey, block: bytes) -> bytes:
    """The private operation on any block of bytes: what a verifier will find under the signature is this block."""
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    return pow(int.from_bytes(block, "big"), numbers.d, modulus).to_bytes((modulus.bit_length() + 7) // 8, "big")


def es256(key: ECKey, signed: bytes, hashed: hashes.HashAlgorithm | None = None) -> tuple[int, int]:
    """The r and s of a good ECDSA signature."""
    return decode_dss_signature(key.sign(signed, ec.ECDSA(hashed or hashes.SHA256())))


def p1363(r: int, s: int, size: int = 32) -> bytes:
    """The r and s beside each other (RFC 7518 3.4)."""
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def until(make: Callable[[bytes], bytes], found: Callable[[bytes], bool]) -> tuple[bytes, bytes]:
    """A signing input and its signature, of which something rare is true: other ``uti`` are tried until it is."""
    for attempt in count():
        signed = signing_input(head(), payload(uti=f"vector-{attempt}"))
        signature = make(signed)
        if found(signature):
            return signed, signature
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Vector:
    """One vector, not numbered yet."""

    comment: str
    token: str
    result: str = INVALID
    flags: tuple[str, ...] = ()


def group(kind: str, comment: str, public: Mapping[str, Any], vectors: list[Vector]) -> dict[str, Any]:
    """A test group in Project Wycheproof's shape; its tests are numbered when the file is written."""
    tests = [
        {"comment": one.comment, "jws": one.token, "result": one.result, "flags": list(one.flags)} for one in vectors
    ]
    return {"type": kind, "source": {"name": "sealed-bff"}, "comment": comment, "public": public, "tests": tests}
