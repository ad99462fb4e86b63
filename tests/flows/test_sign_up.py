"""A new person creates an account and lands signed in."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.world.house import House


@pytest.mark.req("BBA-2")
async def test_a_new_person_lands_signed_in_with_an_empty_list(house: House) -> None:
    """``prompt=create`` opens the sign-up form; finishing it is a sign-in like any other."""
    tab = house.browser().tab()
    visit = await house.sign_up(tab, email="mary@example.com", name="Mary Shelley", password="it-is-alive-1818")
    assert visit.url == house.url("/")
    user = await house.user(tab)
    assert (user["claims"]["name"], user["claims"]["email"]) == ("Mary Shelley", "mary@example.com")
    assert (await tab.api("/api/todolist", tag=user["session"]["tag"])).json() == []


async def test_two_new_people_have_two_accounts(house: House) -> None:
    """What one of them keeps, the other does not see."""
    mary, percy = house.browser().tab(), house.browser().tab()
    await house.sign_up(mary, email="mary@example.com", name="Mary", password="it-is-alive-1818")
    await house.sign_up(percy, email="percy@example.com", name="Percy", password="ozymandias-1818")
    await mary.api("/api/todolist", method="POST", json={"description": "Write"})
    assert (await percy.api("/api/todolist")).json() == []
    assert (await house.user(mary))["sub"] != (await house.user(percy))["sub"]


async def test_the_account_is_there_at_the_next_sign_in(house: House) -> None:
    """Signing up keeps an account, not only a session."""
    tab = house.browser().tab()
    await house.sign_up(tab, email="mary@example.com", name="Mary", password="it-is-alive-1818")
    again = house.browser().tab()
    await house.begin(again)
    await again.submit(email="mary@example.com", password="it-is-alive-1818")
    assert (await house.user(again))["sub"] == (await house.user(tab))["sub"]


async def test_the_sign_up_link_asks_for_the_form_it_names(house: House) -> None:
    """The authorization request carries ``prompt=create`` where the server advertises it."""
    tab = house.browser().tab()
    visit = await house.begin(tab, "/bff/login?prompt=create")
    assert parse_qs(urlsplit(visit.url).query)["prompt"] == ["create"]
    assert visit.heading == "Create an account"
