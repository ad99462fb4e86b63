from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bff.errors import InvalidIDToken, InvalidLogoutToken
from bff.oidc.id_token import Expectation, verify_id_token
from bff.oidc.key_set import VerificationKey, usable_keys
from bff.oidc.logout_token import EVENT, LogoutExpectation, verify_logout_token
from bff.oidc.messages import LogoutNotice
from tests.world.tokens import (
    ABSENT,
    ALICE,
    CLIENT_ID,
    ISSUER,
    b64url,
    ec_key,
    id_token,
    logout_claims,
    logout_token,
    pairwise,
    rsa_key,
    sign_bytes,
    stranger,
)

NOW = 1_800_000_000.0  # no clock: two processes that collect these tests a second apart must give them the same names
NO_TEXT: list[object] = [None, 1, True, [], {}, "", "x" * 256]


class PublishedKeys:
    """The issuer's keys, which never change."""

    def __init__(self) -> None:
        self.keys = usable_keys({"keys": [rsa_key().public_jwk(), ec_key().public_jwk()]})

    async def matching(self, *, kid: str | None, alg: str, refetch: bool = False) -> Sequence[VerificationKey]:
        return [key for key in self.keys if key.fits(kid=kid, alg=alg)]


async def verify(token: str) -> LogoutNotice:
    """What an accepted token says."""
    expected = LogoutExpectation(issuer=ISSUER, client_id=CLIENT_ID, algorithms=("RS256", "ES256"), now=NOW)
    return await verify_logout_token(token, keys=PublishedKeys(), expected=expected)


async def refused_step(token: str) -> str:
    """The number of the first step that a refused token fails."""
    with pytest.raises(InvalidLogoutToken) as refusal:
        await verify(token)
    return refusal.value.step


def honest(**overrides: Any) -> str:
    """An honest logout token, with overrides."""
    return logout_token(now=NOW, **overrides)


def forged(alg: str) -> str:
    """A logout token that its header claims to need no signature, or a MAC, for."""
    header = {"typ": "logout+jwt", "alg": alg}
    return ".".join(b64url(json.dumps(part).encode()) for part in (header, logout_claims(now=NOW))) + "."


@pytest.mark.req("BCL-2")
async def test_an_honest_token_names_the_session() -> None:
    """Issuer, sid, sub and the token's own name arrive; nothing else does."""
    notice = await verify(honest(jti="one"))
    assert notice == LogoutNotice(
        issuer=ISSUER, issued_at=int(NOW), authority_sid="as-session-1", subject=pairwise(ALICE), jti="one"
    )


@pytest.mark.req("BCL-2")
@pytest.mark.parametrize("absent", ["sub", "sid"])
async def test_one_of_sub_and_sid_is_enough(absent: str) -> None:
    """A token names a session, a person, or both (2.4)."""
    notice = await verify(honest(**{absent: ABSENT}))
    assert (notice.subject is None, notice.authority_sid is None) == (absent == "sub", absent == "sid")


@pytest.mark.req("BCL-2", "ATK-53")
@pytest.mark.parametrize(
    ("header", "step"),
    [
        ({"typ": ABSENT}, None),
        ({"typ": "Logout+JWT"}, None),
        ({"alg": "ES256"}, "2, key"),
        ({"typ": "JWT"}, "0"),
        ({"typ": "at+jwt"}, "0"),
        ({"typ": None}, "0"),
        ({"typ": 1}, "0"),
        ({"crit": ["exp"]}, "0"),
        ({"kid": ["rsa-1"]}, "0"),
        ({"kid": "unknown"}, "2, key"),
        ({"alg": "none"}, "3"),
        ({"alg": "HS256"}, "3"),
        ({"alg": "PS256"}, "3"),
        ({"alg": None}, "3"),
    ],
)
async def test_the_header_asks_for_nothing_else(header: dict[str, Any], step: str | None) -> None:
    """Typ is logout+jwt or absent, and the algorithm is one of our settings, never the header's to choose."""
    token = honest(header=header)
    if step is None:
        assert (await verify(token)).jti
    else:
        assert await refused_step(token) == step


@pytest.mark.req("BCL-2", "ATK-53")
@pytest.mark.parametrize(
    ("token", "step"),
    [
        ("", "0"),
        ("a.b", "0"),
        ("x" * 20_000, "0"),
        ("a.b.c.d.e", "1"),
        (forged("none"), "3"),
        (forged("HS256"), "3"),
        (logout_token(now=NOW, key=stranger()), "2"),
        (sign_bytes(b"[]", header={"typ": "logout+jwt"}), "0"),
        (sign_bytes(b'{"iss": 1, "iss": 2}', header={"typ": "logout+jwt"}), "0"),
    ],
    ids=["empty", "two parts", "huge", "encrypted", "alg none", "alg HS256", "foreign key", "array", "member twice"],
)
async def test_a_forged_token_is_refused(token: str, step: str) -> None:
    """Without the issuer's own signature over one JSON object nothing of it is weighed."""
    assert await refused_step(token) == step


NO_EVENT: list[object] = [ABSENT, None, 1, [], [EVENT], EVENT, {}, {"other": {}}]
NO_OBJECT: list[object] = [None, 1, True, "", []]
NO_CLAIM: list[object] = [ABSENT, None, 1, []]


@pytest.mark.req("BCL-2", "ATK-53")
@pytest.mark.parametrize(
    ("claim", "value", "step"),
    [
        *[("iss", value, "4") for value in (*NO_CLAIM, [ISSUER], f"{ISSUER}/", "https://evil.example")],
        *[("aud", value, "4") for value in (*NO_CLAIM, "other", [CLIENT_ID, "other"], [CLIENT_ID, 1])],
        *[("iat", value, "4") for value in (ABSENT, None, "1", True, -1, int(NOW) - 331, int(NOW) + 331, 1e300)],
        *[("exp", value, "4") for value in (ABSENT, None, "1", True, -1, int(NOW) - 30)],
        *[("sub", value, "5") for value in NO_TEXT],
        *[("sid", value, "5") for value in NO_TEXT],
        *[("events", value, "6") for value in NO_EVENT],
        *[("events", {EVENT: value}, "6") for value in NO_OBJECT],
        *[("nonce", value, "7") for value in (None, "", "n-0S6_WzA2Mj")],
        *[("jti", value, "8") for value in (ABSENT, *NO_TEXT)],
    ],
    ids=str,
)
async def test_every_claim_is_required_as_it_must_be(claim: str, value: object, step: str) -> None:
    """A claim that is absent, null, of another type or of another value is refused by its own step."""
    assert await refused_step(honest(**{claim: value})) == step


@pytest.mark.req("BCL-2")
async def test_a_token_names_somebody() -> None:
    """Neither sub nor sid: whose session should end?"""
    assert await refused_step(honest(sub=ABSENT, sid=ABSENT)) == "5"


@pytest.mark.req("BCL-2")
@pytest.mark.parametrize("iat", [int(NOW) - 300, int(NOW) + 300])
async def test_clocks_may_differ(iat: int) -> None:
    """Five minutes in either direction, and the event may say more than nothing."""
    assert (await verify(honest(iat=iat, events={EVENT: {"more": 1}, "other": 1}))).issued_at == iat


@pytest.mark.req("ATK-53")
async def test_an_id_token_ends_nothing_and_a_logout_token_signs_nobody_in() -> None:
    """The two kinds are never taken for each other, whatever type they claim."""
    assert await refused_step(id_token(now=NOW, header={"typ": ABSENT})) == "6"
    assert await refused_step(id_token(now=NOW, events={EVENT: {}}, header={"typ": "logout+jwt"})) == "7"
    expected = Expectation(
        issuer=ISSUER, client_id=CLIENT_ID, algorithms=("RS256",), now=NOW, previous={"iss": ISSUER, "sub": "somebody"}
    )
    with pytest.raises(InvalidIDToken):
        await verify_id_token(honest(), keys=PublishedKeys(), expected=expected)
