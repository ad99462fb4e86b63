"""``authority.require``: who is who they say, and still may not come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.world.house import ADA, GRACE, opened_house, problem_of


def ruled(folder: Path, *rules: dict[str, Any], seconds: int = 3600) -> Any:
    """A house with these rules."""
    return opened_house(folder, access_token_seconds=seconds, settings={"authority": {"require": list(rules)}})


async def test_who_matches_no_rule_reads_a_page_that_offers_another_account(tmp_path: Path) -> None:
    """The refusal is 403, names no claim, sets no session, and leads to the choice of an account."""
    async with ruled(tmp_path, {"claim": "email", "equals": GRACE.email}) as house:
        tab = house.browser().tab()
        visit = await house.sign_in(tab, ADA)
        assert (visit.response.status_code, visit.heading) == (403, "This account may not come in")
        assert GRACE.email not in visit.response.text
        assert house.cookie not in tab.browser.names()
        again = await tab.link(visit.links[0])
        assert "prompt=select_account" in again.url
        landed = await tab.submit(email=GRACE.email, password=GRACE.password)
        assert landed.url == house.url("/")


@pytest.mark.parametrize(
    ("rule", "permitted"),
    [
        ({"claim": "email", "in": ["ada@example.com", "x@example.com"]}, True),
        ({"claim": "groups", "contains": "staff"}, True),
        ({"claim": "groups", "contains": "sta"}, False),
        ({"claim": "email_verified", "equals": True}, True),
        ({"claim": "email_verified", "equals": 1}, False),
        ({"claim": "unknown", "equals": "x"}, False),
    ],
)
async def test_a_rule_is_one_exact_comparison(tmp_path: Path, rule: dict[str, Any], permitted: bool) -> None:
    """Text is compared whole, lists by membership, ``true`` is not ``1``, and an absent claim matches nothing."""
    async with ruled(tmp_path, rule) as house:
        house.misbehaviours.id_token |= {"groups": ["staff", "all"], "email_verified": True}
        tab = house.browser().tab()
        visit = await house.sign_in(tab)
        assert (visit.url == house.url("/")) is permitted


@pytest.mark.req("ATK-58")
async def test_a_rule_is_asked_again_at_every_refresh(tmp_path: Path) -> None:
    """Whoever lost the claim meanwhile is out at the next refresh."""
    async with ruled(tmp_path, {"claim": "groups", "contains": "staff"}, seconds=300) as house:
        house.misbehaviours.id_token["groups"] = ["staff"]
        tab = house.browser().tab()
        await house.sign_in(tab)
        house.misbehaviours.id_token["groups"] = []
        house.misbehaviours.refreshed_id_token["groups"] = []
        house.clock.advance(295)
        assert problem_of(await tab.api("/api/todolist")) == "session-ended"


async def test_every_rule_must_match(tmp_path: Path) -> None:
    """Two rules are an *and*."""
    rules = [{"claim": "email", "equals": ADA.email}, {"claim": "name", "equals": "Somebody Else"}]
    async with ruled(tmp_path, *rules) as house:
        visit = await house.sign_in(house.browser().tab())
        assert visit.response.status_code == 403
