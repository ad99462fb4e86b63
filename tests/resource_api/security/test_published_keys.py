"""Which published keys may verify anything at all."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import OctKey, RSAKey

from resource_api.security.signature import UnusableKeyError, read_key_set
from tests.world.tokens import ABSENT, SigningKey, b64url, ec_key, rsa_key

ALGORITHMS = frozenset({"RS256", "ES256"})


def loaded(*entries: object) -> set[tuple[str | None, str]]:
    """The kids and algorithms of the keys that load."""
    return {(key.kid, key.alg) for key in read_key_set({"keys": list(entries)}, ALGORITHMS)}


def rsa_jwk(bits: int, exponent: int = 65537) -> dict[str, Any]:
    """A public RSA key of any size, as no factory of ours would make it."""
    numbers = rsa.generate_private_key(exponent, bits).public_key().public_numbers()
    return {
        "kty": "RSA",
        "kid": "short",
        "n": b64url(numbers.n.to_bytes(bits // 8, "big")),
        "e": b64url(numbers.e.to_bytes(3, "big")),
    }


def test_honest_keys_load() -> None:
    """RSA and EC keys load in any order, with or without alg, use, key_ops and what else a server adds."""
    entries = [
        rsa_key().public_jwk(),
        rsa_key("rsa-2").public_jwk(alg=ABSENT, use=ABSENT, x5t="x", x5c=["MIIB"], key_ops=["verify"]),
        ec_key().public_jwk(alg=ABSENT),
    ]
    expected = {("rsa-1", "RS256"), ("rsa-2", "RS256"), ("ec-1", "ES256")}
    assert loaded(*entries) == loaded(*reversed(entries)) == expected


BAD: dict[str, dict[str, Any]] = {
    "symmetric": OctKey.import_key("secret" * 8).as_dict(private=True) | {"kid": "s", "alg": "HS256"},
    "symmetric that says RSA": rsa_key().public_jwk(k="c2VjcmV0"),
    "private RSA": rsa_key().private_jwk(),
    "private EC": ec_key().private_jwk(),
    "half private": rsa_key().public_jwk(p="AQAB"),
    "for encryption": rsa_key().public_jwk(use="enc"),
    "for signing only": rsa_key().public_jwk(key_ops=["sign"]),
    "key_ops of another type": rsa_key().public_jwk(key_ops="verify"),
    "an algorithm for encryption": rsa_key().public_jwk(alg="RSA-OAEP"),
    "an algorithm we do not verify": rsa_key().public_jwk(alg="PS256"),
    "HS256 on an RSA key": rsa_key().public_jwk(alg="HS256"),
    "none": rsa_key().public_jwk(alg="none"),
    "ES256 on an RSA key": rsa_key().public_jwk(alg="ES256"),
    "RS256 on an EC key": ec_key().public_jwk(alg="RS256"),
    "ES256 on P-384": ec_key("p384", "P-384").public_jwk(alg="ES256"),
    "P-384 said to be P-256": ec_key("p384", "P-384").public_jwk(alg="ES256", crv="P-256"),
    "an unknown curve": ec_key().public_jwk(crv="secp256k1"),
    "no curve": ec_key().public_jwk(crv=ABSENT),
    "a point off the curve": ec_key().public_jwk(x=b64url(b"\x01" * 32)),
    "a short coordinate": ec_key().public_jwk(x=b64url(b"\x01" * 31)),
    "RSA 1024": rsa_jwk(1024),
    "RSA beyond 8192": rsa_key().public_jwk(n=b64url(b"\xff" * 1025)),
    "RSA without e": rsa_key().public_jwk(e=ABSENT),
    "RSA with e = 1": rsa_key().public_jwk(e="AQ"),
    "RSA with an even e": rsa_key().public_jwk(e="Ag"),
    "n of another type": rsa_key().public_jwk(n=7),
    "n with junk": rsa_key().public_jwk(n="!" + rsa_key().public_jwk()["n"]),
    "OKP": {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": b64url(b"\x01" * 32)},
    "kty of another type": rsa_key().public_jwk(kty=["RSA"]),
    "kid of another type": rsa_key().public_jwk(kid=7),
    "an empty kid": rsa_key().public_jwk(kid=""),
    "a kid of 257 characters": rsa_key().public_jwk(kid="x" * 257),
    "an issuer of another type": rsa_key().public_jwk(issuer=7),
    "an empty object": {},
}


@pytest.mark.req("RS-2", "ATK-45", "ATK-56", "K-30")
@pytest.mark.parametrize("entry", BAD.values(), ids=BAD)
def test_a_key_that_must_not_verify(entry: dict[str, Any]) -> None:
    """Symmetric, private, weak, misnamed or malformed keys never load, and keep no other key from loading."""
    assert loaded(entry, rsa_key("good").public_jwk()) == {("good", "RS256")}


@pytest.mark.req("RS-2")
@pytest.mark.parametrize(
    "second",
    [rsa_key("rsa-1").public_jwk(), rsa_key("other").public_jwk(kid="rsa-1"), ec_key().public_jwk(kid="rsa-1")],
)
def test_a_kid_that_comes_twice_names_nothing(second: dict[str, Any]) -> None:
    """Of two keys with one kid neither loads: which one is meant cannot be told."""
    assert loaded(rsa_key().public_jwk(), second, rsa_key("good").public_jwk()) == {("good", "RS256")}


@pytest.mark.parametrize("entries", [[7, None, "x", []], []])
def test_entries_that_are_no_keys(entries: list[Any]) -> None:
    """What is no object is passed over."""
    assert loaded(*entries) == set()


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, rsa_key().public_jwk()])
def test_a_document_that_is_no_key_set(document: dict[str, Any]) -> None:
    """A document without an array of keys is no key set (RFC 7517 5)."""
    with pytest.raises(UnusableKeyError):
        read_key_set(document, ALGORITHMS)


def test_a_key_without_alg_serves_each_allowed_one() -> None:
    """An RSA key that names no algorithm verifies each RSA algorithm of the settings, an EC key its curve's only."""
    both = {"keys": [rsa_key().public_jwk(alg=ABSENT), ec_key().public_jwk(alg=ABSENT)]}
    keys = read_key_set(both, frozenset({"RS256", "RS512", "ES256", "ES384"}))
    assert {(key.kid, key.alg) for key in keys} == {("rsa-1", "RS256"), ("rsa-1", "RS512"), ("ec-1", "ES256")}


def test_a_long_key_verifies() -> None:
    """RSA of 3,072 bits, as some issuers have it, is as good as 2,048."""
    key = SigningKey("long", "RS256", RSAKey.generate_key(3072, {"kid": "long"}, private=True))
    assert loaded(key.public_jwk()) == {("long", "RS256")}


def test_a_key_hides_its_material() -> None:
    """The repr of a key names it and shows nothing of it."""
    (key,) = read_key_set({"keys": [rsa_key().public_jwk()]}, ALGORITHMS)
    assert repr(key) == "VerificationKey(kid='rsa-1', alg='RS256', issuer=None)"
