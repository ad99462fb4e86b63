from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from bff.errors import InvalidIDToken
from bff.oidc.id_token import KEY_NOT_PUBLISHED, MAX_CHARACTERS, Expectation, verify_id_token
from bff.oidc.key_set import VerificationKey, usable_keys
from bff.oidc.messages import Claims, LoginTransaction
from tests.world.clock import MovableClock
from tests.world.tokens import (
    ABSENT,
    CLIENT_ID,
    ISSUER,
    SigningKey,
    access_token,
    at_hash,
    b64url,
    ec_key,
    hmac_with_public_key,
    id_claims,
    id_token,
    logout_token,
    rsa_key,
    sign,
    sign_bytes,
    stranger,
    unsigned,
)

ALL = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
NONCE = "n-0S6_WzA2Mj"
NOW = MovableClock().now()
ANY_WRONG_TYPE: list[object] = [None, 1, True, [], {}, ["x"]]


class PublishedKeys:
    """An issuer's key set that changes, if it does, when it is fetched once more."""

    def __init__(self, *keys: dict[str, Any], after_refetch: Sequence[dict[str, Any]] | None = None) -> None:
        self.keys = usable_keys({"keys": list(keys)})
        self.after_refetch = self.keys if after_refetch is None else usable_keys({"keys": list(after_refetch)})
        self.refetches = 0

    async def matching(self, *, kid: str | None, alg: str, refetch: bool = False) -> Sequence[VerificationKey]:
        if refetch:
            self.refetches += 1
            self.keys = self.after_refetch
        return [key for key in self.keys if key.fits(kid=kid, alg=alg)]


HONEST = (rsa_key().public_jwk(), ec_key().public_jwk())


def transaction(**overrides: Any) -> LoginTransaction:
    """A transaction that an honest token answers."""
    values: dict[str, Any] = {
        "state": "s",
        "nonce": NONCE,
        "code_verifier": "v",
        "issuer": ISSUER,
        "redirect_uri": "r",
        "return_to": "/",
        "began_at": NOW - 20,
    }
    return LoginTransaction(**{**values, **overrides})


def expectation(**overrides: Any) -> Expectation:
    """What an honest token agrees with."""
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "algorithms": ("RS256", "PS256", "ES256", "EdDSA"),
        "now": NOW,
        "access_token": "at",
        "transaction": transaction(),
        "skew": 94.0,
    }
    return Expectation(**{**values, **overrides})


async def verify(token: str, *, keys: PublishedKeys | None = None, **overrides: Any) -> Claims:
    """The claims of a token that is accepted."""
    return await verify_id_token(token, keys=keys or PublishedKeys(*HONEST), expected=expectation(**overrides))


async def refusal_of(token: str, *, keys: PublishedKeys | None = None, **overrides: Any) -> InvalidIDToken:
    """The refusal of a token that is not accepted."""
    with pytest.raises(InvalidIDToken) as refusal:
        await verify(token, keys=keys, **overrides)
    return refusal.value


def honest(**overrides: Any) -> str:
    """An honest token, with overrides."""
    return id_token(now=NOW, **overrides)


async def test_an_honest_token_yields_its_claims() -> None:
    """Every claim arrives as it was signed, known or not."""
    claims = await verify(honest(custom={"a": [1]}))
    assert claims["name"] == "Alice"
    assert claims["custom"] == {"a": [1]}


def eddsa_key() -> SigningKey:
    """A key on Ed25519."""
    key: Any = OKPKey.generate_key("Ed25519", {"kid": "ed-1"}, private=True)
    return SigningKey("ed-1", "EdDSA", key)


@pytest.mark.parametrize("alg", ALL)
async def test_every_algorithm_we_can_name_works(alg: str) -> None:
    """Whatever a setting may choose is verified, at_hash with the hash of its own name, and without a warning."""
    curves: dict[str, SigningKey] = {
        "ES256": ec_key(),
        "ES384": ec_key("e384", "P-384"),
        "ES512": ec_key("e521", "P-521"),
        "EdDSA": eddsa_key(),
    }
    key = curves.get(alg) or replace(rsa_key(), alg=alg)
    digest = hashlib.new({"EdDSA": "sha512"}.get(alg, f"sha{alg[2:]}"), b"at").digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    token = honest(key=key, at_hash=half)
    assert (await verify(token, keys=PublishedKeys(key.public_jwk()), algorithms=ALL))["sub"]
    wrong = await refusal_of(token, keys=PublishedKeys(key.public_jwk()), algorithms=ALL, access_token="another")
    assert wrong.step == "at_hash"


@pytest.mark.req("ATK-50", "ATK-52")
@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "eyJ.eyJ.eyJ.eyJ",
        honest().replace(".", "..", 1),
        honest() + "=",
        honest() + "\n",
        honest().replace(".", ".é", 1),
        honest(filler="x" * MAX_CHARACTERS),
        sign_bytes(b'{"iss": "good", "iss": "evil"}'),
        sign_bytes(b'{"exp": NaN}'),
        sign_bytes(b'{"sub": "\\ud800"}'),
        sign_bytes(b"[" * 5000 + b"]" * 5000),
        sign_bytes(b"[]"),
        sign_bytes(b"\xff"),
        sign_bytes(b"{}", header=b'{"alg": "RS256", "alg": "RS256", "kid": "rsa-1"}'),
        sign_bytes(b"{}", header=b"[]"),
    ],
)
async def test_what_is_no_signed_object_fails_step_0(token: str) -> None:
    """Form, size and unambiguous JSON come before everything else."""
    assert (await refusal_of(token)).step == "0"


@pytest.mark.req("OIDC-3")
async def test_an_encrypted_token_fails_step_1() -> None:
    """We register no encryption, so nothing is decrypted."""
    assert (await refusal_of("a.b.c.d.e")).step == "1"


@pytest.mark.req("ATK-47", "ATK-48", "ATK-50")
@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/keys"},
        {"jwk": rsa_key("evil").public_jwk()},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MII"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"zip": None},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": ""},
        {"typ": None},
        {"typ": 1},
        {"kid": 1},
        {"kid": None},
        {"kid": ["rsa-1"]},
        {"kid": "k" * 300},
    ],
)
async def test_a_header_that_asks_for_more_fails_step_0(header: dict[str, Any]) -> None:
    """A token brings no key, no certificate, no extension, no compression and no other type."""
    assert (await refusal_of(honest(header=header))).step == "0"


@pytest.mark.parametrize("typ", ["JWT", "jwt", ABSENT])
async def test_the_type_is_jwt_or_unsaid(typ: object) -> None:
    """The type's letters have no case, and most servers may leave it out."""
    assert await verify(honest(header={"typ": typ}))


@pytest.mark.req("ATK-45", "OIDC-3")
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS256", "RS1", None, 1, ["RS256"], {"RS256": 1}])
async def test_an_algorithm_outside_our_settings_fails_step_7(alg: object) -> None:
    """Neither header nor metadata chooses: none, a MAC, an unknown name and another type are refused alike."""
    claims = id_claims(now=NOW)
    for token in (
        unsigned(claims, alg=alg),
        unsigned(claims, alg=alg, signature="AAAA"),
        sign(claims, header={"alg": alg}),
    ):
        refusal = await refusal_of(token)
        assert refusal.step in {"0", "7"}
    assert (await refusal_of(sign(claims, header={"alg": ABSENT}))).step == "7"


@pytest.mark.req("ATK-45")
@pytest.mark.parametrize("encoding", ["pem", "der", "jwk", "empty"])
async def test_a_mac_under_the_public_key_fails_step_7(encoding: Any) -> None:
    """The published key is no secret, in whatever encoding it is tried."""
    assert (await refusal_of(hmac_with_public_key(id_claims(now=NOW), encoding))).step == "7"


@pytest.mark.req("ATK-45")
async def test_our_settings_narrow_what_is_accepted() -> None:
    """An algorithm we could verify and did not choose is refused."""
    assert (await refusal_of(honest(), algorithms=("ES256",))).step == "7"
    assert await verify(honest(key=ec_key()), algorithms=("ES256",))


@pytest.mark.req("ATK-45", "OIDC-3")
@pytest.mark.parametrize(
    "token",
    [
        honest(key=stranger()),
        ".".join([*honest().split(".")[:2], ""]),
        ".".join([*honest().split(".")[:2], b64url(b"\0" * 256)]),
        ".".join([honest().split(".")[0], b64url(json.dumps(id_claims(sub="eve")).encode()), honest().split(".")[2]]),
        honest(key=replace(ec_key(), kid="rsa-1"), header={"alg": "RS256"}),
        honest(key=ec_key(), header={"alg": "ES256"})[:-4] + "AAAA",
    ],
)
async def test_a_signature_that_is_not_the_issuers_fails_step_6(token: str) -> None:
    """Another key, no signature, a broken one and another payload are all the same lie."""
    keys = PublishedKeys(*HONEST)
    assert (await refusal_of(token, keys=keys)).step == "6"
    assert keys.refetches == 1


@pytest.mark.req("ATK-46", "ATK-49", "OIDC-6")
@pytest.mark.parametrize("kid", ["unknown", "../../dev/null", "' OR 1=1 --", "", "rsa-1\x00"])
async def test_a_kid_nobody_published_finds_no_key(kid: str) -> None:
    """A kid is compared with what the issuer published, and with nothing else; one refetch is all it costs."""
    keys = PublishedKeys(*HONEST)
    assert (await refusal_of(honest(header={"kid": kid}), keys=keys)).step == KEY_NOT_PUBLISHED
    assert keys.refetches == 1


@pytest.mark.req("OIDC-6")
async def test_rotation_is_followed() -> None:
    """A new name, and a new key under the old name, both verify after one refetch."""
    renamed = rsa_key("rsa-2")
    replaced = replace(rsa_key("other"), kid="rsa-1")
    for key in (renamed, replaced):
        keys = PublishedKeys(*HONEST, after_refetch=[key.public_jwk()])
        assert await verify(honest(key=key), keys=keys)
        assert keys.refetches == 1


@pytest.mark.req("OIDC-6")
async def test_without_a_kid_every_key_that_fits_is_tried() -> None:
    """One key or several, of one type or many: what verifies, verifies (OIDC Core 10.1)."""
    published = [rsa_key("decoy").public_jwk(), ec_key().public_jwk(), rsa_key().public_jwk(kid=None)]
    for keys in ([rsa_key().public_jwk()], published):
        assert await verify(honest(header={"kid": ABSENT}), keys=PublishedKeys(*keys))
    lonely = PublishedKeys(rsa_key("decoy").public_jwk())
    assert (await refusal_of(honest(header={"kid": ABSENT}), keys=lonely)).step == "6"


@pytest.mark.req("OIDC-3", "ATK-3")
@pytest.mark.parametrize(
    "iss", [ABSENT, *ANY_WRONG_TYPE, "", ISSUER + "/", ISSUER.upper(), "https://evil.example", [ISSUER]]
)
async def test_step_2_iss_is_the_issuer_exactly(iss: object) -> None:
    """Absent, null, wrong type and wrong value fail, and so does one slash too many."""
    assert (await refusal_of(honest(iss=iss))).step == "2"


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize(
    "aud",
    [
        ABSENT,
        *ANY_WRONG_TYPE,
        "",
        "other",
        ["other"],
        [CLIENT_ID, "other"],
        [CLIENT_ID, 1],
        {CLIENT_ID: 1},
        CLIENT_ID + " x",
    ],
)
@pytest.mark.parametrize("azp", [ABSENT, CLIENT_ID])
async def test_step_3_aud_is_us_and_nobody_unknown(aud: object, azp: object) -> None:
    """A foreign audience is refused even beside our own azp, which the library underneath would let pass."""
    assert (await refusal_of(honest(aud=aud, azp=azp))).step == "3"


@pytest.mark.req("OIDC-3")
async def test_steps_3_and_4_a_trusted_audience_needs_an_azp() -> None:
    """Several audiences are accepted when each is trusted and the token says for whom it was made."""
    aud = [CLIENT_ID, "partner"]
    assert await verify(honest(aud=aud, azp=CLIENT_ID), trusted_audiences=("partner",))
    assert (await refusal_of(honest(aud=aud), trusted_audiences=("partner",))).step == "4"
    assert await verify(honest(aud=[CLIENT_ID]))


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize("azp", [*ANY_WRONG_TYPE, "", "other", [CLIENT_ID]])
async def test_step_5_azp_is_us(azp: object) -> None:
    """An authorized party that is there and is not us fails, null and wrong types included."""
    assert (await refusal_of(honest(azp=azp))).step == "5"


@pytest.mark.req("OIDC-3", "ATK-52")
@pytest.mark.parametrize("exp", [ABSENT, None, True, "9999999999", [], {}, -1, 1e300, 10**20])
async def test_step_9_exp_is_an_instant(exp: object) -> None:
    """Absent, null, wrong type and senseless numbers fail."""
    assert (await refusal_of(honest(exp=exp))).step == "9"


@pytest.mark.req("OIDC-3")
async def test_step_9_exp_has_not_passed() -> None:
    """Up to the leeway and not a second further; the refusal carries the measured skew."""
    assert await verify(honest(exp=int(NOW) - 29), leeway=30)
    refusal = await refusal_of(honest(exp=int(NOW) - 30), leeway=30)
    assert (refusal.step, refusal.skew) == ("9", 94.0)


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize("iat", [ABSENT, None, True, "1", [], {}, -1, 1e300])
async def test_step_10_iat_is_an_instant(iat: object) -> None:
    """Absent, null, wrong type and senseless numbers fail."""
    assert (await refusal_of(honest(iat=iat))).step == "10"


@pytest.mark.req("OIDC-3")
async def test_step_10_iat_is_neither_future_nor_long_past() -> None:
    """Issued within the life of a code, give or take the leeway; the refusal carries the measured skew."""
    for fine in (29, 0, -300, -629):
        assert await verify(honest(iat=int(NOW) + fine), leeway=30)
    for wrong in (31, 3600, -631, -86_400):
        refusal = await refusal_of(honest(iat=int(NOW) + wrong), leeway=30)
        assert (refusal.step, refusal.skew) == ("10", 94.0)


@pytest.mark.req("OIDC-3", "BCP-15", "ATK-4")
@pytest.mark.parametrize("nonce", [ABSENT, *ANY_WRONG_TYPE, "", "other", NONCE + "x", NONCE[:-1], [NONCE], "ü"])
async def test_step_11_nonce_is_the_one_we_sent(nonce: object) -> None:
    """A code injected from another browser brings another nonce, or none."""
    assert (await refusal_of(honest(nonce=nonce))).step == "11"


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize("acr", [ABSENT, *ANY_WRONG_TYPE, "", "pwd", "mfa hw"])
async def test_step_12_acr_is_one_we_asked_for(acr: object) -> None:
    """Who asked for a context gets it or is refused; who did not ask does not care."""
    assert (await refusal_of(honest(acr=acr), transaction=transaction(acr_values="mfa hw"))).step == "12"
    assert await verify(honest(acr=acr))
    assert await verify(honest(acr="hw"), transaction=transaction(acr_values="mfa hw"))


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize("auth_time", [ABSENT, None, True, "1", [], {}, -1])
async def test_step_13_auth_time_is_an_instant_where_we_asked(auth_time: object) -> None:
    """max_age makes auth_time required (OIDC Core 2)."""
    assert (await refusal_of(honest(auth_time=auth_time), transaction=transaction(max_age=60))).step == "13"


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize(
    ("ago", "max_age", "fine"),
    [
        (0, 0, True),
        (19, 0, True),
        (49, 0, True),
        (51, 0, False),
        (89, 60, True),
        (91, 60, False),
        (5000, 60, False),
        (-31, 60, False),
    ],
)
async def test_step_13_the_person_proved_themselves_recently(ago: int, max_age: int, fine: bool) -> None:
    """Within max_age of now, or since our request began, give or take the leeway; and never in the future."""
    token = honest(auth_time=int(NOW) - ago)
    asked = transaction(max_age=max_age, began_at=int(NOW) - 20)
    if fine:
        assert await verify(token, transaction=asked, now=float(int(NOW)))
    else:
        assert (await refusal_of(token, transaction=asked, now=float(int(NOW)))).step == "13"


@pytest.mark.parametrize("sub", [ABSENT, *ANY_WRONG_TYPE, "", "x" * 256])
async def test_sub_names_somebody(sub: object) -> None:
    """A token about nobody signs nobody in."""
    assert (await refusal_of(honest(sub=sub))).step == "sub"


@pytest.mark.req("OIDC-8")
@pytest.mark.parametrize("value", [None, 0, "", [], ["x"], "other", at_hash("at") + "A", at_hash("another")])
async def test_at_hash_is_checked_wherever_it_stands(value: object) -> None:
    """Null, empty, wrong type and wrong value fail; a hash that is not there binds nothing."""
    assert (await refusal_of(honest(at_hash=value))).step == "at_hash"
    assert await verify(honest(at_hash=at_hash("at")))
    assert await verify(honest(at_hash=ABSENT))


@pytest.mark.parametrize("claims", [{"nbf": NOW + 3600}, {"nbf": "later"}, {"amr": "pwd"}, {"jti": 1}])
async def test_authlib_reads_the_claims_as_well(claims: dict[str, Any]) -> None:
    """What the library checks and our steps do not still counts."""
    assert (await refusal_of(honest(**claims))).step == "authlib"


@pytest.mark.req("ATK-51")
@pytest.mark.parametrize(
    "token",
    [
        access_token(now=NOW, nonce=NONCE),
        access_token(now=NOW, profile="rfc9068", aud=CLIENT_ID, nonce=NONCE),
        logout_token(now=NOW, nonce=NONCE, exp=int(NOW) + 60),
        logout_token(now=NOW, header={"typ": "JWT"}),
    ],
)
async def test_another_kind_of_token_is_no_id_token(token: str) -> None:
    """An access token and a logout token of the same issuer, signed with the same key, sign nobody in."""
    assert (await refusal_of(token)).step in {"0", "3", "11"}


FIRST = id_claims(now=NOW - 3000)


def refreshed(**overrides: Any) -> str:
    """A token that came with a refresh, with overrides."""
    return honest(**{"nonce": ABSENT, "auth_time": FIRST["auth_time"], **overrides})


async def verify_refreshed(token: str, **previous: Any) -> Claims:
    """The claims of a refreshed token, judged by the first one."""
    first = {name: value for name, value in {**FIRST, **previous}.items() if value is not ABSENT}
    return await verify(token, transaction=None, previous=first)


@pytest.mark.req("OIDC-5")
async def test_a_refreshed_token_follows_the_first() -> None:
    """The same person, party and sign-in, with or without the first nonce and time of authentication."""
    assert await verify_refreshed(refreshed())
    assert await verify_refreshed(refreshed(nonce=NONCE))
    assert await verify_refreshed(refreshed(auth_time=ABSENT))
    assert await verify_refreshed(refreshed(), auth_time=ABSENT)
    assert await verify_refreshed(refreshed(azp=CLIENT_ID), azp=CLIENT_ID)


@pytest.mark.req("OIDC-5", "ATK-11")
@pytest.mark.parametrize(
    ("overrides", "step"),
    [
        ({"sub": "somebody-else"}, "12.2"),
        ({"sub": ABSENT}, "12.2"),
        ({"auth_time": int(NOW)}, "12.2"),
        ({"auth_time": None}, "12.2"),
        ({"nonce": "other"}, "12.2"),
        ({"nonce": None}, "12.2"),
        ({"azp": CLIENT_ID}, "12.2"),
        ({"iss": "https://evil.example"}, "2"),
        ({"aud": "other"}, "3"),
        ({"azp": "other"}, "5"),
        ({"exp": int(NOW) - 60}, "9"),
        ({"iat": int(NOW) - 3000}, "10"),
        ({"at_hash": at_hash("another")}, "at_hash"),
    ],
)
async def test_a_refreshed_token_that_contradicts_the_first_fails(overrides: dict[str, Any], step: str) -> None:
    """Whoever refreshes cannot become another person, nor younger, nor another party (OIDC Core 12.2)."""
    with pytest.raises(InvalidIDToken) as refusal:
        await verify_refreshed(refreshed(**overrides))
    assert refusal.value.step == step


@pytest.mark.req("OIDC-5")
@pytest.mark.parametrize(
    "previous", [{"azp": CLIENT_ID}, {"sub": "x"}, {"sub": ABSENT}, {"iss": "https://old.example"}, {"iss": None}]
)
async def test_a_first_token_that_does_not_lead_here_fails(previous: dict[str, Any]) -> None:
    """A lost azp, and a session of another person or issuer, are contradictions too."""
    with pytest.raises(InvalidIDToken, match=r"12\.2"):
        await verify_refreshed(refreshed(), **previous)


@pytest.mark.req("OIDC-5")
@pytest.mark.parametrize(
    "iat", [int(NOW) + 31, ABSENT, None, True, "1"], ids=["future", "absent", "null", "boolean", "text"]
)
async def test_a_refreshed_token_is_no_older_than_the_first(iat: object) -> None:
    """Its iat is the time of its own issue, give or take the leeway."""
    with pytest.raises(InvalidIDToken, match="step 10"):
        await verify_refreshed(refreshed(), iat=iat)
    assert await verify_refreshed(refreshed(), iat=int(NOW) + 29)


@pytest.mark.req("OIDC-5", "ATK-11")
@pytest.mark.parametrize("date", [{"exp": 1}, {"iat": 1}, {"iat": int(NOW) + 9999}])
async def test_a_wrong_date_never_hides_another_person(date: dict[str, Any]) -> None:
    """Whose token it is comes before when it was issued."""
    with pytest.raises(InvalidIDToken, match=r"12\.2"):
        await verify_refreshed(refreshed(sub="somebody-else", **date))


@pytest.mark.req("OIDC-5")
async def test_a_refreshed_nonce_nobody_sent_fails() -> None:
    """Where the first token had no nonce, a later one has none either."""
    with pytest.raises(InvalidIDToken, match=r"12\.2"):
        await verify_refreshed(refreshed(nonce="n"), nonce=ABSENT)


@pytest.mark.parametrize("both", [{"transaction": None, "previous": None}, {"previous": {}}])
def test_a_token_is_never_judged_by_neither_nor_both(both: dict[str, Any]) -> None:
    """Without a nonce to ask for or a first token to follow there is no expectation."""
    with pytest.raises(ValueError, match="always one"):
        expectation(**both)


@pytest.mark.req("ATK-59")
async def test_a_refusal_shows_nothing_of_the_token() -> None:
    """Neither the error nor an expectation's repr repeats claims, tokens or nonces."""
    refusal = await refusal_of(honest(nonce="canary-nonce", sub="canary-sub"))
    assert "canary" not in str(refusal)
    shown = repr(expectation(access_token="canary", transaction=transaction(nonce="canary")))
    assert "canary" not in shown
