"""A restart with the same keys and the same ledger is noticed by nobody, and forgets no ending (F13)."""

from __future__ import annotations

import pytest

from bff.session.cipher import Key, read_keys, write_keys
from tests.world.house import ADA, House, problem_of


@pytest.mark.req("F13")
async def test_a_session_survives_a_restart(house: House) -> None:
    """Who was signed in before is signed in after."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    tag = await house.tag(tab)
    await house.restart_bff()
    assert await house.tag(tab) == tag
    assert (await tab.api("/api/todolist", tag=tag)).status_code == 200


@pytest.mark.req("F13")
@pytest.mark.parametrize("how", ["signed out", "replaced"])
async def test_an_ending_survives_a_restart(house: House, how: str) -> None:
    """A copied cookie stays dead: the ledger is a file."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    copy = house.browser()
    copy.cookies = browser.kept()
    if how == "signed out":
        await house.sign_out(tab)
    else:
        await house.sign_in(tab, path="/bff/login?prompt=login")
    await house.restart_bff()
    stolen = copy.tab()
    await stolen.go(house.url("/"))
    assert problem_of(await stolen.api("/api/todolist")) == "session-ended"


async def test_a_sign_in_that_was_under_way_is_finished_after_a_restart(house: House) -> None:
    """The transaction lies in the browser, not in the process."""
    tab = house.browser().tab()
    await house.begin(tab, "/bff/login?return_to=/todos")
    await house.restart_bff()
    assert (await tab.submit(email=ADA.email, password=ADA.password)).url == house.url("/todos")


async def test_a_rotated_key_keeps_sessions_and_a_removed_one_ends_them_quietly(house: House) -> None:
    """What an old key of the ring sealed still opens; under an unknown key the cookie is anonymous and is kept."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    keys = house.folder / "keys.json"
    old, new = read_keys(keys), Key.generate(use_from=house.clock.now() - 10)
    write_keys(keys, (*old, new))
    await house.restart_bff()
    assert (await house.user(tab))["authenticated"] is True
    write_keys(keys, (new,))
    await house.restart_bff()
    assert problem_of(await tab.api("/api/todolist")) == "no-session"
    assert house.cookie in tab.browser.names()


async def test_a_process_without_the_ledger_keeps_sessions_too(house: House) -> None:
    """Losing the ledger's file loses endings, never sessions."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.stop_bff()
    for part in house.folder.glob("ledger.sqlite*"):
        part.unlink()
    await house.start_bff()
    assert (await house.user(tab))["authenticated"] is True
