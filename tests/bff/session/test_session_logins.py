from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bff.errors import AuthorizationServerUnavailable, InvalidIDToken, LoginError, UnknownLogin
from bff.oidc.messages import LoginTransaction
from bff.session import login_cookies
from bff.session.cookies import Jar
from bff.session.key_ring import Key, KeyRing
from bff.session.ledger import FileLedger
from bff.session.marks import mark_of_login
from bff.session.vault import Landing
from tests.bff.session.session_world import NOW, Browser, Process, a_process, a_session, a_transaction, settle, words
from tests.world.clock import MovableClock


async def begun(process: Process, browser: Browser, **overrides: object) -> LoginTransaction:
    """A login that this browser began."""
    transaction = a_transaction(began_at=process.clock.now(), **overrides)
    browser.take(await process.vault.keep_login(transaction, browser.jar()))
    return transaction


@pytest.mark.req("A3", "ATK-1")
@pytest.mark.parametrize("form_post", [False, True])
async def test_a_transaction_comes_back_to_the_browser_that_began_it(*, form_post: bool) -> None:
    """It survives the trip to another site, and its cookie is deleted when it is taken."""
    process, browser = a_process(form_post=form_post), Browser()
    transaction = await begun(process, browser)
    taken, spent = await process.vault.take_login(browser.jar(from_another_site=True), transaction.state)
    assert taken == transaction
    browser.take(spent)
    assert browser.kept == {}
    with pytest.raises(UnknownLogin):
        await process.vault.take_login(browser.jar(), transaction.state)


@pytest.mark.req("ATK-1", "ATK-15")
async def test_another_browsers_state_is_unknown_here() -> None:
    """A state is worth nothing without the cookie, and a cookie nothing under another state's name."""
    process, victim, attacker = a_process(), Browser(), Browser()
    theirs = await begun(process, attacker)
    mine = await begun(process, victim)
    with pytest.raises(UnknownLogin):
        await process.vault.take_login(victim.jar(), theirs.state)
    name = process.vault.policy.transaction(mine.state)
    other = process.vault.policy.transaction(theirs.state)
    assert name is not None
    assert other is not None
    with pytest.raises(UnknownLogin):
        await process.vault.take_login(Jar({name: attacker.kept[other].value}), mine.state)
    same_start = mine.state[:8] + words(35)
    with pytest.raises(UnknownLogin):
        await process.vault.take_login(victim.jar(), same_start)


@pytest.mark.parametrize("state", ["", "x", "../../etc", "a;b=c;d=e", "é" * 10, "A" * 43, "a\r\nb" * 4])
async def test_no_state_makes_taking_raise_anything_else(state: str) -> None:
    """A query may hold any text."""
    process, browser = a_process(), Browser()
    await begun(process, browser)
    with pytest.raises(UnknownLogin):
        await process.vault.take_login(browser.jar(), state)


@pytest.mark.req("CK-3", "ATK-12")
async def test_a_transaction_that_came_twice_is_unknown() -> None:
    """Tossed or not, a duplicate is never chosen from."""
    process, browser = a_process(), Browser()
    transaction = await begun(process, browser)
    (cookie,) = browser.kept.values()
    line = cookie.name.encode() + b"=" + cookie.value
    with pytest.raises(UnknownLogin):
        await process.vault.take_login(Jar.read([(b"cookie", line + b"; " + line)]), transaction.state)


@pytest.mark.req("F17")
@pytest.mark.parametrize(("minutes", "known"), [(9, True), (14.9, True), (15.1, False)])
async def test_a_transaction_lives_ten_minutes_and_the_clocks_tolerance(minutes: float, *, known: bool) -> None:
    """The browser forgets it after ten; another replica's clock may be five behind."""
    process, browser = a_process(), Browser()
    transaction = await begun(process, browser)
    assert next(iter(browser.kept.values())).max_age == 600
    process.clock.advance(minutes * 60)
    if known:
        assert (await process.vault.take_login(browser.jar(), transaction.state))[0] == transaction
    else:
        with pytest.raises(UnknownLogin):
            await process.vault.take_login(browser.jar(), transaction.state)


@pytest.mark.req("ATK-9")
async def test_eight_tabs_sign_in_at_once_and_a_ninth_drops_the_oldest() -> None:
    """Each lands on its own page; a thousand logins leave eight cookies."""
    process, browser = a_process(), Browser()
    begun_ones = []
    for _ in range(12):
        begun_ones.append(await begun(process, browser))
        process.clock.advance(1)
    assert len(browser.kept) == 8
    for transaction in begun_ones[:4]:
        with pytest.raises(UnknownLogin):
            await process.vault.take_login(browser.jar(), transaction.state)
    for transaction in begun_ones[4:]:
        assert (await process.vault.take_login(browser.jar(), transaction.state))[0] == transaction


@pytest.mark.req("F21", "ATK-9")
async def test_all_cookies_together_keep_to_the_budget() -> None:
    """Long return_to values drop older logins rather than break the header for every call."""
    process, browser = a_process(), Browser()
    browser.take(await process.vault.keep_session(a_session(), browser.jar()))
    for _ in range(8):
        await begun(process, browser, return_to="/" + words(1500))
        process.clock.advance(1)
    sent = sum(len(one.name) + 1 + len(one.value) for one in browser.kept.values())
    assert sent <= 7 * 1024
    assert process.vault.policy.session in browser.kept


async def test_a_transaction_under_an_unknown_key_is_the_oldest() -> None:
    """What does not open is the first to go when there is no room, and untouched before."""
    other, process, browser = a_process(), a_process(), Browser()
    foreign = await begun(other, browser)
    name = process.vault.policy.transaction(foreign.state)
    for _ in range(7):
        await begun(process, browser)
        process.clock.advance(1)
    assert name in browser.kept
    await begun(process, browser)
    assert name not in browser.kept


# Finished once (rule F18).


def a_landing(process: Process) -> Landing:
    """Where a finished sign-in leads."""
    return Landing(location="/todos", cookies=(process.vault.policy.cookie("__Host-Http-bff", words(30).encode()),))


@pytest.mark.req("F18", "ATK-6")
async def test_a_response_delivered_twice_lands_once_and_in_one_place() -> None:
    """Both deliveries get the first one's bytes, whether they come together or minutes apart."""
    process, runs, gate = a_process(), 0, asyncio.Event()
    transaction = a_transaction()

    async def make() -> Landing:
        nonlocal runs
        runs += 1
        await gate.wait()
        return a_landing(process)

    together = [asyncio.create_task(process.vault.once(transaction, make)) for _ in range(5)]
    await settle()
    gate.set()
    landings = await asyncio.gather(*together)
    process.clock.advance(500)
    landings.append(await process.vault.once(transaction, make))
    assert runs == 1
    assert len(set(landings)) == 1


@pytest.mark.req("F18")
async def test_a_client_that_goes_away_does_not_lose_its_sign_in() -> None:
    """The code is spent either way: the reload finds where the first delivery led."""
    process, gate = a_process(), asyncio.Event()
    transaction = a_transaction()

    async def make() -> Landing:
        await gate.wait()
        return a_landing(process)

    first = asyncio.create_task(process.vault.once(transaction, make))
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()

    async def never() -> Landing:
        raise AssertionError("spent twice")

    assert (await process.vault.once(transaction, never)).location == "/todos"


@pytest.mark.req("F18")
async def test_a_refused_sign_in_is_refused_again_and_not_tried_again() -> None:
    """The second delivery hears what the first heard."""
    process, transaction, runs = a_process(), a_transaction(), 0

    async def make() -> Landing:
        nonlocal runs
        runs += 1
        raise InvalidIDToken("9")

    for _ in range(2):
        with pytest.raises(InvalidIDToken):
            await process.vault.once(transaction, make)
    assert runs == 1


@pytest.mark.req("F18")
async def test_an_outage_leaves_the_sign_in_as_it_was() -> None:
    """A reload after a 503 may try once more."""
    process, transaction = a_process(), a_transaction()

    async def down() -> Landing:
        raise AuthorizationServerUnavailable

    async def up() -> Landing:
        return a_landing(process)

    with pytest.raises(AuthorizationServerUnavailable):
        await process.vault.once(transaction, down)
    assert (await process.vault.once(transaction, up)).location == "/todos"


@pytest.mark.req("F18", "F13")
async def test_another_worker_lands_in_the_same_place(tmp_path: Path) -> None:
    """The second delivery reaches another process, or the same one restarted: same location, same cookie bytes."""
    clock, ring = MovableClock(NOW), KeyRing.generate()
    one, two = (
        a_process(clock=clock, ring=ring, ledger=FileLedger(tmp_path / "ledger.sqlite", clock)) for _ in range(2)
    )
    transaction, began, gate = a_transaction(), asyncio.Event(), asyncio.Event()

    async def make() -> Landing:
        began.set()
        await gate.wait()
        return a_landing(one)

    async def never() -> Landing:
        raise AssertionError("spent twice")

    first = asyncio.create_task(one.vault.once(transaction, make))
    await began.wait()
    second = asyncio.create_task(two.vault.once(transaction, never))
    await settle()
    gate.set()
    assert await first == await second
    with pytest.raises(UnknownLogin):
        await two.vault.once(a_transaction(state=transaction.state), never)
    await one.ledger.aclose()
    await two.ledger.aclose()


@pytest.mark.req("F18", "F13")
async def test_another_workers_failure_is_a_failure_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was spent and came to nothing, or never came back, is an unknown login for the second delivery."""
    monkeypatch.setattr(login_cookies, "_POLLS", 3)
    clock = MovableClock(NOW)
    one, two = (a_process(clock=clock, ledger=FileLedger(tmp_path / "ledger.sqlite", clock)) for _ in range(2))
    failed, lost = a_transaction(), a_transaction()

    async def refused() -> Landing:
        raise LoginError

    async def never() -> Landing:
        raise AssertionError("spent twice")

    with pytest.raises(LoginError):
        await one.vault.once(failed, refused)
    await one.ledger.spend_login(mark_of_login(lost.state), NOW + 600)
    for transaction in (failed, lost):
        with pytest.raises(UnknownLogin):
            await two.vault.once(transaction, never)
    assert await one.ledger.landing(mark_of_login(lost.state)) is None
    await one.ledger.aclose()
    await two.ledger.aclose()


# Loops.


@pytest.mark.req("A12")
async def test_the_third_sign_in_in_a_row_that_led_nowhere_is_a_loop() -> None:
    """Each began after the one before had finished, and none found a session."""
    process, browser, counts = a_process(), Browser(), []
    for _ in range(3):
        transaction = a_transaction(began_at=process.clock.now())
        process.clock.advance(2)
        count, counted = process.vault.login_attempts(browser.jar(from_another_site=True), transaction)
        browser.take([counted])
        process.clock.advance(1)
        counts.append(count)
    assert counts == [1, 2, 3]


async def test_tabs_that_sign_in_side_by_side_are_no_loop() -> None:
    """Eight restored tabs finish within a second, and none waited for another."""
    process, browser = a_process(), Browser()
    transactions = [a_transaction(began_at=process.clock.now()) for _ in range(8)]
    for transaction in transactions:
        process.clock.advance(0.1)
        count, counted = process.vault.login_attempts(browser.jar(), transaction)
        browser.take([counted])
        assert count == 1


@pytest.mark.parametrize("change", ["slow", "with a session", "forged"])
async def test_what_is_no_loop_is_not_counted(change: str) -> None:
    """More than thirty seconds, a sign-in that replaces a session, a count that is not ours."""
    process, browser = a_process(), Browser()
    for _ in range(5):
        transaction = a_transaction(
            began_at=process.clock.now(), replaces="sid" if change == "with a session" else None
        )
        process.clock.advance(31 if change == "slow" else 1)
        jar = Jar({process.vault.policy.loop: b"9-1-1.aaaa.bbbb"}) if change == "forged" else browser.jar()
        count, counted = process.vault.login_attempts(jar, transaction)
        browser.take([counted])
        assert count == 1


async def test_keys_of_two_rings_do_not_mix() -> None:
    """A transaction sealed with a key that this ring lacks is unknown, and nothing else happens."""
    clock = MovableClock(NOW)
    one = a_process(clock=clock, ring=KeyRing((Key(id="00000001", secret=b"1" * 32, use_from=0.0),), clock))
    two = a_process(clock=clock, ring=KeyRing((Key(id="00000001", secret=b"2" * 32, use_from=0.0),), clock))
    browser = Browser()
    transaction = await begun(one, browser)
    with pytest.raises(UnknownLogin):
        await two.vault.take_login(browser.jar(), transaction.state)
