"""Forged, bent and malformed tokens: each refused as invalid, none as a failure of ours or at the cost of a fetch."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from resource_api.errors import AuthenticationError
from resource_api.security import InvalidToken
from tests.resource_api.security.conftest import ServerWith, Verify, verifier
from tests.world import tokens
from tests.world.key_host import KeyHost
from tests.world.tokens import (
    ABSENT,
    access_claims,
    access_token,
    b64url,
    ec_key,
    hmac_with_public_key,
    jwks,
    rsa_key,
    sign_bytes,
    stranger,
    unsigned,
)


def _json(**overrides: Any) -> bytes:
    return json.dumps(access_claims(**overrides)).encode()


def _with(token: str, part: int, change: Callable[[str], str]) -> str:
    parts = token.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


def _flipped(segment: str) -> str:
    raw = bytearray(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    raw[len(raw) // 2] ^= 1
    return b64url(bytes(raw))


def _other_spelling(segment: str) -> str:
    """The same bytes, by setting one of the bits that base64 leaves over."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


def _header_spelled_otherwise() -> str:
    """A header whose length leaves bits over, with one of them set."""
    token = access_token(header={"x": "y" * 2}) if len(access_token().split(".")[0]) % 4 == 0 else access_token()
    return _with(token, 0, _other_spelling)


def _raw_header(header: bytes) -> str:
    return sign_bytes(_json(), header=header)


def _ecdsa(r: bytes, s: bytes) -> str:
    token = access_token(key=ec_key())
    return _with(token, 2, lambda _: b64url(r + s))


HEADER = b'"alg":"RS256","kid":"rsa-1"'
KIDS: list[Any] = ["../../dev/null", "' OR 1=1 --", "", "x" * 257, "RSA-1", "rsa-1 ", None, 7, ["rsa-1"], {}, ABSENT]
FORGED: dict[str, tuple[str, Callable[[], str]]] = {
    # algorithms
    "alg none": ("ATK-45", lambda: unsigned(access_claims(), signature="AA")),
    "alg none, no signature": ("ATK-45", lambda: unsigned(access_claims())),
    **{
        f"alg {alg!r}": ("ATK-45", partial(access_token, header={"alg": alg}))
        for alg in ("None", "NONE", "nOnE", "", None, 7, ["RS256"], ABSENT, "RS512", "PS256", "EdDSA", "rs256", "ES256")
    },
    "HS256 with the key as PEM": ("ATK-45", lambda: hmac_with_public_key(access_claims(), "pem")),
    "HS256 with the key as DER": ("ATK-45", lambda: hmac_with_public_key(access_claims(), "der")),
    "HS256 with the key as JWK": ("ATK-45", lambda: hmac_with_public_key(access_claims(), "jwk")),
    "HS256 with no key": ("ATK-45", lambda: hmac_with_public_key(access_claims(), "empty")),
    "ES256 under an RSA key's kid": ("ATK-45", lambda: access_token(key=ec_key(), header={"kid": "rsa-1"})),
    "RS256 under an EC key's kid": ("ATK-45", lambda: access_token(header={"kid": "ec-1"})),
    # keys
    "a stranger's key": ("RS-2", lambda: access_token(key=stranger())),
    **{f"kid {kid!r:.24}": ("ATK-46", partial(access_token, header={"kid": kid})) for kid in KIDS},
    **{
        f"{name} in the header": ("ATK-47", partial(access_token, header={name: value}))
        for name, value in {
            "jwk": rsa_key("stranger").public_jwk(),
            "jku": "https://evil.example/keys",
            "x5u": "https://evil.example/cert",
            "x5c": ["MIIB"],
        }.items()
    },
    # processing that nobody asked for
    **{
        f"{name}={value!r:.20}": ("ATK-48", partial(access_token, header={name: value}))
        for name, value in [("crit", ["exp"]), ("crit", []), ("crit", None), ("b64", False), ("b64", True)]
    },
    "zip": ("ATK-50", lambda: access_token(header={"zip": "DEF"})),
    "enc": ("ATK-50", lambda: access_token(header={"enc": "A256GCM"})),
    "a JWE of five parts": ("ATK-50", lambda: access_token() + ".AA.AA"),
    "a JWE with p2c": ("ATK-50", lambda: _raw_header(b'{"alg":"PBES2-HS256+A128KW","p2c":1000000000,"enc":"A128GCM"}')),
    "larger than 16 KB": ("ATK-50", lambda: access_token(padding="x" * 13_000)),
    "10 MB": ("ATK-50", lambda: "A" * 10_000_000),
    # signatures
    "a flipped bit in the payload": ("RS-2", lambda: _with(access_token(), 1, _flipped)),
    "a flipped bit in the signature": ("RS-2", lambda: _with(access_token(), 2, _flipped)),
    "a flipped bit in the header": ("RS-2", lambda: _with(access_token(), 0, _flipped)),
    "another spelling of the signature": ("ATK-56", lambda: _with(access_token(), 2, _other_spelling)),
    "another spelling of the header": ("ATK-56", _header_spelled_otherwise),
    "a padded signature": ("ATK-56", lambda: access_token() + "=="),
    "junk in the signature": ("ATK-56", lambda: _with(access_token(), 2, lambda one: one[:9] + "!" + one[9:])),
    "a newline at the end": ("ATK-56", lambda: access_token() + "\n"),
    "an empty signature": ("ATK-56", lambda: _with(access_token(), 2, lambda _: "")),
    "ECDSA r = s = 0": ("ATK-56", lambda: _ecdsa(bytes(32), bytes(32))),
    "ECDSA in DER": ("ATK-56", lambda: _ecdsa(b"\x30\x44\x02\x20" + b"\x01" * 32, b"\x02\x20" + b"\x01" * 32)),
    "ECDSA one byte short": ("ATK-56", lambda: _ecdsa(b"\x01" * 32, b"\x01" * 31)),
    # JSON
    "iss twice": ("ATK-52", lambda: sign_bytes(b'{"iss":"evil",' + _json()[1:])),
    "a nested member twice": ("ATK-52", lambda: sign_bytes(b'{"x":{"a":1,"a":2},' + _json()[1:])),
    "alg twice": ("ATK-52", lambda: _raw_header(b'{"typ":"JWT","alg":"none",' + HEADER + b"}")),
    "kid twice": ("ATK-52", lambda: _raw_header(b'{"typ":"JWT","kid":"x",' + HEADER + b"}")),
    "exp NaN": ("ATK-52", lambda: sign_bytes(_json(exp=ABSENT)[:-1] + b',"exp":NaN}')),
    "exp Infinity": ("ATK-52", lambda: sign_bytes(_json(exp=ABSENT)[:-1] + b',"exp":Infinity}')),
    "exp 1e400": ("ATK-52", lambda: sign_bytes(_json(exp=ABSENT)[:-1] + b',"exp":1e400}')),
    "exp of 5,000 digits": ("ATK-52", lambda: sign_bytes(_json(exp=ABSENT)[:-1] + b',"exp":' + b"9" * 5000 + b"}")),
    "a deep header": ("ATK-52", lambda: _raw_header(b"[" * 8000)),
    "a deep member of the header": (
        "ATK-52",
        lambda: _raw_header(b'{"x":' + b"[" * 16 + b"]" * 16 + b"," + HEADER + b"}"),
    ),
    "a deep payload": ("ATK-52", lambda: sign_bytes(b"[" * 6000 + b"]" * 6000)),
    "a deep claim": ("ATK-52", lambda: sign_bytes(_json()[:-1] + b',"x":' + b'{"a":' * 3000 + b"1" + b"}" * 3001)),
    "UTF-8 that is none": ("ATK-52", lambda: sign_bytes(_json()[:-1] + b',"x":"\xff"}')),
    "an overlong UTF-8 slash": ("ATK-52", lambda: sign_bytes(_json()[:-1] + b',"x":"\xc0\xaf"}')),
    "a lone surrogate": ("ATK-52", lambda: sign_bytes(_json()[:-1] + b',"x":"\\ud800"}')),
    "a byte order mark": ("ATK-52", lambda: sign_bytes(b"\xef\xbb\xbf" + _json())),
    "a control character": ("ATK-52", lambda: sign_bytes(_json()[:-1] + b',"x":"\x01"}')),
    "UTF-16": ("ATK-52", lambda: sign_bytes(_json().decode().encode("utf-16"))),
    "two documents": ("ATK-52", lambda: sign_bytes(_json() * 2)),
    **{
        f"the payload {payload!r:.20}": ("ATK-52", partial(sign_bytes, payload))
        for payload in (b"[]", b"null", b'"x"', b"1", b"{}", b"\x00\x00", b"{'iss': 1}", b"{")
    },
    **{
        f"the header {header!r:.20}": ("ATK-52", partial(_raw_header, header))
        for header in (b"[]", b"null", b'"x"', b"1", b"{}", b"\x00\x00", b"{", b'{"alg":"RS256",}')
    },
    # shapes
    **{
        f"the token {token!r:.20}": ("A-06", partial(str, token))
        for token in (
            "a",
            "..",
            "a.b.c",
            "aa.bb",
            "aa.bb.cc.dd",
            "e30.e30.e30",
            "abcde.abcde.abcde",
            "a=.b=.c=",
            "ä.ö.ü",
            "aa bb cc",
            "-._~+/",
        )
    },
}


@pytest.mark.req("A-06", "RS-2")
@pytest.mark.parametrize(
    "make", [pytest.param(make, id=name, marks=pytest.mark.req(mark)) for name, (mark, make) in FORGED.items()]
)
async def test_a_forged_token_is_refused(server_with: ServerWith, key_host: KeyHost, make: Callable[[], str]) -> None:
    """Whatever is wrong with it, the answer is InvalidToken, and the keys are fetched once at most."""
    for profile in ("entra-v2", "jwt"):
        with pytest.raises(InvalidToken):
            await verifier(server_with(profile=profile))(make())
    assert key_host.asked() <= 2


async def test_the_honest_ones_are_taken(verify: Verify) -> None:
    """RSA and EC keys of one set both verify, in whichever order they were published."""
    assert (await verify(access_token())).issuer
    assert (await verify(access_token(key=ec_key()))).issuer


@pytest.mark.req("ATK-49")
async def test_a_strangers_issuer_costs_no_fetch(verify: Verify, key_host: KeyHost) -> None:
    """A token of an issuer that nobody trusts never makes us ask anybody anything."""
    for number in range(50):
        with pytest.raises(InvalidToken, match="5 issuer"):
            await verify(access_token(iss=f"https://evil.example/{number}", header={"kid": f"k{number}"}))
    assert key_host.requests == []


@pytest.mark.req("RS-2", "ATK-45")
@pytest.mark.parametrize("alg", ["RS384", "RS512", "ES384", "ES512"])
async def test_an_algorithm_is_chosen_by_us(server_with: ServerWith, key_host: KeyHost, alg: str) -> None:
    """An algorithm that no setting names is refused even under a published key of its own, and taken if one does."""
    curves = {"ES384": "P-384", "ES512": "P-521"}
    base = ec_key(f"{alg}-key", curves[alg]) if alg in curves else rsa_key(f"{alg}-key")
    key = tokens.SigningKey(base.kid, alg, base.key)
    key_host.document = jwks(key)
    with pytest.raises(InvalidToken, match="4 algorithm"):
        await verifier(server_with())(access_token(key=key))
    assert (await verifier(server_with(algorithms=frozenset({alg})))(access_token(key=key))).issuer


bent = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.from_regex(rb"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}", fullmatch=True),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FUZZ = examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.req("RS-2", "ATK-50", "ATK-52")
@FUZZ
@given(token=bent)
async def test_bytes_are_only_ever_refused(verify: Verify, token: bytes) -> None:
    """No bytes in the place of a token raise anything but a declared refusal."""
    with pytest.raises(AuthenticationError):
        await verify(token)


@pytest.mark.req("RS-2", "ATK-52")
@FUZZ
@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "x"]), json_values, min_size=1))
@example(header={"alg": "RS256", "kid": "rsa-1", "typ": float("nan")})
async def test_headers_are_only_ever_refused(verify: Verify, header: dict[str, Any]) -> None:
    """No header raises anything but a declared refusal, even over a good signature."""
    members = {"alg": "RS256", "kid": "rsa-1", "typ": "JWT"} | header
    document = json.dumps(members).encode("utf-8", "surrogatepass")
    await _taken_or_refused(verify, sign_bytes(_json(), header=document))


@pytest.mark.req("RS-2", "ATK-52")
@FUZZ
@given(claim=st.sampled_from(sorted(access_claims())), value=json_values)
async def test_claims_are_only_ever_refused(verify: Verify, claim: str, value: object) -> None:
    """No value of any claim raises anything but a declared refusal, even over a good signature."""
    changed: dict[str, Any] = {claim: value}
    await _taken_or_refused(verify, sign_bytes(json.dumps(access_claims(**changed)).encode()))


@pytest.mark.req("RS-2", "ATK-52")
@FUZZ
@given(seed=st.integers(0, 2**32))
async def test_damage_is_only_ever_refused(verify: Verify, seed: int) -> None:
    """A good token with some bytes changed, cut or repeated is refused by declared errors only."""
    chance = random.Random(seed)
    damaged = bytearray(access_token().encode())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(damaged))
        damaged[at : at + chance.randint(0, 3)] = chance.choice([b"", b".", b"A", b"=", b"\xff", bytes(damaged[:20])])
    await _taken_or_refused(verify, bytes(damaged))


async def _taken_or_refused(verify: Verify, token: str | bytes) -> None:
    try:
        principal = await verify(token)
    except AuthenticationError:
        return
    assert principal.issuer == tokens.ISSUER
