"""Key sets with a key in them that must verify nothing, though the token's signature is its own (RFC 7517 4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tests.resource_api.security.vectors import forging
from tests.resource_api.security.vectors.forging import EITHER, INVALID, VALID, Keys, Vector, compact, group, head, jwk
from tests.world.tokens import ISSUER

KEY = "key"


def key_groups(keys: Keys) -> Iterator[dict[str, Any]]:
    """One group a key set; each has an honest key of another name beside the one in question."""
    honest = jwk(keys.stranger, "honest")
    for comment, entries, token, result in [*_of_rsa(keys), *_of_ec(keys), *_of_other_kinds(), *_of_weak_numbers()]:
        yield group("JsonWebKey", comment, {"keys": [honest, *entries]}, [Vector(comment, token, result)])


def _of_rsa(keys: Keys) -> Iterator[tuple[str, list[dict[str, Any]], str, str]]:
    signed = forging.signing_input(head(kid=KEY))
    token = compact(signed, forging.rs256(keys.rsa, signed))
    entry = jwk(keys.rsa, KEY)
    private = forging.number(keys.rsa.private_numbers().d)
    changes: dict[str, dict[str, Any]] = {
        "use enc": {"use": "enc"}, "use of another kind": {"use": ["sig"]}, "key_ops sign": {"key_ops": ["sign"]},
        "key_ops of no kind": {"key_ops": []}, "key_ops verify, not as an array": {"key_ops": "verify"},
        "alg RS512": {"alg": "RS512"}, "alg PS256": {"alg": "PS256"}, "alg HS256": {"alg": "HS256"},
        "alg RSA-OAEP": {"alg": "RSA-OAEP"}, "alg none": {"alg": "none"}, "alg of another kind": {"alg": ["RS256"]},
        "kty in lower case": {"kty": "rsa"}, "kty EC": {"kty": "EC"}, "kty oct": {"kty": "oct"},
        "no kty": {"kty": None},
        "no modulus": {"n": None}, "no exponent": {"e": None}, "an empty modulus": {"n": ""},
        "the private exponent beside it": {"d": private}, "a factor beside it": {"p": private},
        "a secret beside it": {"k": "c2VjcmV0"}, "the modulus padded": {"n": entry["n"] + "=="},
        "the modulus in the standard alphabet": {"n": "+" + entry["n"][1:]},
        "white space in the modulus": {"n": entry["n"] + "\n"},
        "the modulus as a number": {"n": 5}, "the modulus cut": {"n": entry["n"][:170]}, "the exponent 1": {"e": "AQ"},
        "the exponent 2": {"e": "Ag"}, "the exponent 0": {"e": "AA"}, "an even modulus": {"n": entry["n"][:-2] + "AA"},
        "kid of another kind": {"kid": 7}, "kid longer than 256": {"kid": "k" * 257}, "another kid": {"kid": "other"},
        "an issuer of another kind": {"issuer": 1},
        "in a certificate alone": {"n": None, "e": None, "x5c": ["MIIB"]},
    }  # fmt: skip
    for name, change in changes.items():
        changed = {key: value for key, value in {**entry, **change}.items() if value is not None}
        yield f"RSA: {name}", [changed], token, INVALID
    yield "RSA: two keys of this kid", [entry, jwk(keys.cube, KEY)], token, INVALID
    yield "RSA: one key twice", [entry, entry], token, INVALID
    good: dict[str, dict[str, Any]] = {
        "as it should be": {}, "without alg": {"alg": None}, "without use": {"use": None},
        "key_ops verify": {"key_ops": ["verify"]},
        "with a certificate": {"x5c": ["MIIB"], "x5t": "AA"}, "with its issuer": {"issuer": ISSUER},
        "with a template of issuers": {"issuer": ISSUER.replace(ISSUER.split("/")[3], "{tenantid}")},
        "with a member that nobody knows": {"x-unknown": [1]},
    }  # fmt: skip
    for name, change in good.items():
        changed = {key: value for key, value in {**entry, **change}.items() if value is not None}
        yield f"RSA: {name}", [changed], token, VALID
    yield "RSA: without kid, for a token with one", [{k: v for k, v in entry.items() if k != "kid"}], token, EITHER
    yield "RSA: beside entries that are no keys", [{}, {"kty": "none"}, {"kid": 1}, entry], token, VALID


def _of_ec(keys: Keys) -> Iterator[tuple[str, list[dict[str, Any]], str, str]]:
    signed = forging.signing_input(head("ES256", KEY))
    token = compact(signed, forging.p1363(*forging.es256(keys.ec, signed)))
    entry = jwk(keys.ec, KEY)
    changes: dict[str, dict[str, Any]] = {
        "no curve": {"crv": None}, "curve P-384": {"crv": "P-384"}, "curve P-256K": {"crv": "P-256K"},
        "curve secp256k1": {"crv": "secp256k1"}, "curve in lower case": {"crv": "p-256"},
        "curve of another kind": {"crv": 1},
        "alg ES384": {"alg": "ES384"}, "alg ES256K": {"alg": "ES256K"}, "kty OKP": {"kty": "OKP"}, "no x": {"x": None},
        "no y": {"y": None}, "x a byte short": {"x": forging.b64url(bytes(31))},
        "x with a zero in front": {"x": "AA" + entry["x"]},
        "a point beside the curve": {"y": entry["x"]}, "the point at infinity": {"x": "A" * 43, "y": "A" * 43},
        "coordinates exchanged": {"x": entry["y"], "y": entry["x"]}, "the private key beside it": {"d": entry["x"]},
        "x greater than the prime": {"x": forging.b64url(b"\xff" * 32)},
    }  # fmt: skip
    for name, change in changes.items():
        changed = {key: value for key, value in {**entry, **change}.items() if value is not None}
        yield f"EC: {name}", [changed], token, INVALID
    yield "EC: as it should be", [entry], token, VALID
    yield "EC: without alg", [{k: v for k, v in entry.items() if k != "alg"}], token, VALID
    signed = forging.signing_input(head("ES256", KEY))
    long = compact(signed, forging.p1363(*forging.es256(keys.p384, signed), 48))
    yield "EC: a key of P-384 for ES256", [jwk(keys.p384, KEY, alg=None)], long, INVALID


def _of_other_kinds() -> Iterator[tuple[str, list[dict[str, Any]], str, str]]:
    secret = b"a secret of thirty-two characters"
    signed = forging.signing_input(head("HS256", KEY))
    token = compact(signed, hmac.new(secret, signed, "sha256").digest())
    for alg in ("HS256", "RS256", None):
        entry = {"kty": "oct", "k": forging.b64url(secret), "kid": KEY} | ({"alg": alg} if alg else {})
        yield f"oct: a symmetric key, alg {alg}", [entry], token, INVALID
    edwards = ed25519.Ed25519PrivateKey.generate()
    signed = forging.signing_input(head("EdDSA", KEY))
    entry = {"kty": "OKP", "crv": "Ed25519", "x": forging.b64url(edwards.public_key().public_bytes_raw()), "kid": KEY}
    yield "OKP: an Edwards curve, which is not in the list", [entry], compact(signed, edwards.sign(signed)), INVALID


def _of_weak_numbers() -> Iterator[tuple[str, list[dict[str, Any]], str, str]]:
    """Keys that sign well and must not be trusted to, or that verify what nobody signed."""
    signed = forging.signing_input(head(kid=KEY))
    for bits, result in ((1024, INVALID), (2047, INVALID), (3072, VALID), (4096, VALID)):
        key = rsa.generate_private_key(65537, bits)
        yield f"RSA: {bits} bits", [jwk(key, KEY)], compact(signed, forging.rs256(key, signed)), result
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(signed).digest()
    block = b"\0\x01" + b"\xff" * (253 - len(info)) + b"\0" + info
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    plain = {"kty": "RSA", "alg": "RS256", "kid": KEY, "n": forging.number(modulus)}
    yield (
        "RSA: an exponent of 1, the block itself for a signature",
        [{**plain, "e": "AQ"}],
        compact(signed, block),
        INVALID,
    )
    longer = {**plain, "e": "AQAB", "n": forging.b64url(b"\xff" * 2048)}
    yield "RSA: a modulus of 16,384 bits", [longer], compact(signed, bytes(2048)), INVALID
    power = {**plain, "e": "AQAB", "n": forging.number(1 << 2047)}
    yield "RSA: a power of two for a modulus", [power], compact(signed, bytes(256)), INVALID
