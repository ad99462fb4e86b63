"""Forged identities: an ID token that fails any check signs nobody in, through the whole BFF."""

from __future__ import annotations

from typing import Any

import pytest

from local_authority.misbehaving.misbehaviours import ABSENT, Misbehaviour
from tests.world.house import GRACE, House

FORGERIES = [
    Misbehaviour.ID_TOKEN_ALG_NONE,
    Misbehaviour.ID_TOKEN_HS256_WITH_PUBLIC_KEY,
    Misbehaviour.ID_TOKEN_FOREIGN_KEY,
    Misbehaviour.ID_TOKEN_UNKNOWN_KID,
    Misbehaviour.ID_TOKEN_WRONG_AUDIENCE,
    Misbehaviour.ID_TOKEN_WRONG_ISSUER,
    Misbehaviour.ID_TOKEN_WRONG_NONCE,
    Misbehaviour.ID_TOKEN_WRONG_AZP,
    Misbehaviour.ID_TOKEN_EXPIRED,
    Misbehaviour.ID_TOKEN_FROM_THE_FUTURE,
    Misbehaviour.ID_TOKEN_MISSING,
]
WRONG: list[tuple[str, Any]] = [
    ("nonce", ABSENT), ("nonce", None), ("nonce", ["n"]), ("nonce", ""),
    ("iss", ABSENT), ("iss", None), ("iss", 1), ("iss", "https://evil.example"),
    ("aud", ABSENT), ("aud", None), ("aud", []), ("aud", "evil"), ("aud", ["evil"]),
    ("exp", ABSENT), ("exp", None), ("exp", "soon"), ("exp", 0), ("exp", True),
    ("iat", ABSENT), ("iat", None), ("iat", "now"), ("iat", 0),
    ("sub", ABSENT), ("sub", None), ("sub", 1), ("sub", ""),
    ("azp", 1), ("azp", "evil"), ("at_hash", "evil"), ("at_hash", 1),
]  # fmt: skip


async def refused(house: House) -> None:
    """A sign-in that ends on our page, without a session and without a word of the token."""
    tab = house.browser().tab()
    visit = await house.sign_in(tab)
    assert visit.response.status_code == 502
    assert visit.heading in {"Your identity could not be verified", "Two clocks disagree"}
    assert "eyJ" not in visit.response.text
    assert house.cookie not in tab.browser.names()
    await tab.go(house.url("/"))
    assert (await house.user(tab))["authenticated"] is False


@pytest.mark.req("ATK-45", "ATK-46", "ATK-49", "OIDC-3", "BCP-15")
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_token_signs_nobody_in(house: House, forgery: Misbehaviour) -> None:
    """Signature, key, algorithm, issuer, audience, time and nonce: each alone is reason enough."""
    house.misbehaviours.begin(forgery)
    await refused(house)


@pytest.mark.req("OIDC-3", "OIDC-8", "ATK-52")
@pytest.mark.parametrize(("claim", "value"), WRONG)
async def test_a_claim_that_is_wrong_signs_nobody_in(house: House, claim: str, value: Any) -> None:
    """Absent, null, of another type or of another value, under a good signature."""
    house.misbehaviours.id_token[claim] = value
    await refused(house)


@pytest.mark.req("OIDC-6")
async def test_a_rotated_key_is_found(house: House) -> None:
    """After the authority's rotation, with the old key gone, the next sign-in works."""
    await house.sign_in(house.browser().tab())
    house.authority.state.services.keys.rotate(keep_old=False)
    house.clock.advance(31)
    tab = house.browser().tab()
    await house.sign_in(tab)
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.req("ATK-49")
async def test_a_flood_of_unknown_keys_asks_for_few_key_sets(house: House) -> None:
    """Twenty tokens under unknown keys within half a minute are at most two fetches of the key set."""
    await house.sign_in(house.browser().tab())
    fetched = house.record.requests["keys"]
    house.misbehaviours.begin(Misbehaviour.ID_TOKEN_UNKNOWN_KID)
    for _ in range(20):
        house.clock.advance(1)
        await house.sign_in(house.browser().tab())
    assert house.record.requests["keys"] - fetched <= 2


@pytest.mark.req("ATK-11")
async def test_a_step_up_that_returns_somebody_else_is_a_session_of_their_own(house: House) -> None:
    """Asked to prove herself again, Ada comes back as Grace: Ada's session is over, nothing of it is inherited."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await tab.api("/api/todolist", method="POST", json={"description": "Ada's own"})
    first = await house.session(browser)
    await house.sign_in(tab, GRACE, path="/bff/login?prompt=login&max_age=0")
    second = await house.session(browser)
    assert second.subject != first.subject
    assert (second.sid, second.generation) != (first.sid, first.generation)
    assert second.tokens.refresh_token != first.tokens.refresh_token
    assert (await tab.api("/api/todolist")).json() == []
    assert (await house.user(tab))["claims"]["email"] == GRACE.email


@pytest.mark.req("OIDC-3")
async def test_max_age_is_asked_for_and_checked(house: House) -> None:
    """A server that ignores ``max_age`` and answers with an old ``auth_time`` signs nobody in."""
    tab = house.browser().tab()
    house.misbehaviours.id_token["auth_time"] = int(house.clock.now()) - 4000
    visit = await house.sign_in(tab, path="/bff/login?max_age=60")
    assert visit.response.status_code == 502
    assert house.cookie not in tab.browser.names()
