from __future__ import annotations

import re
from dataclasses import replace

import pytest
from structlog.testing import CapturingLogger

from bff.session.cookies import Jar
from bff.session.key_ring import Key, KeyRing
from tests.bff.session.session_world import NOW, Browser, a_process, a_session, said
from tests.world.clock import MovableClock

END = "https://login.example/end?client_id=c&id_token_hint=eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


@pytest.mark.req("F32")
def test_a_ticket_fits_one_session_for_its_whole_life() -> None:
    """It survives refreshes and time, names nobody, and fits no other session."""
    process = a_process()
    session = a_session()
    ticket = process.vault.logout_ticket(session)
    process.clock.advance(11 * 3600)
    assert process.vault.is_logout_ticket(ticket, replace(session, generation=9))
    assert not process.vault.is_logout_ticket(ticket, a_session())
    assert session.sid not in ticket
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", ticket)


@pytest.mark.req("F32", "ATK-21")
def test_no_other_text_is_a_ticket() -> None:
    """Not the tag, not a changed ticket, not a stamp for another purpose, not any text of a query."""
    process, session = a_process(), a_session()
    ticket = process.vault.logout_ticket(session)
    others = [
        "",
        "x",
        "é",
        "\ud800",
        ticket[:-1],
        ticket + "A",
        process.vault.tag(session),
        ticket.replace(".", ".."),
        "a.b.c",
    ]
    others.append(a_process().vault.logout_ticket(session))
    others.append(process.vault._sessions.stamp(session).value.decode())
    assert [other for other in others if process.vault.is_logout_ticket(other, session)] == []


@pytest.mark.req("F30")
def test_a_tag_is_one_sessions_in_every_generation_and_process() -> None:
    """Tabs compare it; a rotation of keys or another replica does not change it."""
    one, two, session = a_process(), a_process(), a_session()
    assert one.vault.tag(session) == two.vault.tag(replace(session, generation=5))
    assert one.vault.tag_matches(session, two.vault.tag(session))
    for other in ("", "é", "\ud800", one.vault.tag(a_session())):
        assert not one.vault.tag_matches(session, other)


@pytest.mark.req("F31")
def test_the_way_on_is_sealed_for_a_minute() -> None:
    """The page carries the cookie and cannot read the URL; it is taken once, and Strict."""
    process, browser = a_process(), Browser()
    kept = process.vault.keep_sign_out(END)
    assert (kept.same_site, kept.max_age) == ("Strict", 60)
    assert b"eyJ" not in kept.value
    browser.take([kept])
    url, cookies = process.vault.take_sign_out(browser.jar())
    assert url == END
    browser.take(cookies)
    assert process.vault.take_sign_out(browser.jar()) == (None, [])


@pytest.mark.req("F31")
def test_a_way_on_that_is_old_foreign_or_empty_leads_nowhere() -> None:
    """Whatever happened, the browser ends at home."""
    process, browser = a_process(), Browser()
    browser.take([process.vault.keep_sign_out(END)])
    process.clock.advance(361)
    assert process.vault.take_sign_out(browser.jar())[0] is None
    browser.take([a_process().vault.keep_sign_out(END)])
    assert process.vault.take_sign_out(browser.jar())[0] is None
    browser.take([process.vault.keep_sign_out(None)])
    assert process.vault.take_sign_out(browser.jar())[0] is None


@pytest.mark.req("ATK-15")
def test_no_sealed_value_passes_for_another() -> None:
    """The state of the way back is not the way on, though one key ring sealed both."""
    process = a_process()
    policy = process.vault.policy
    back = process.vault.keep_logged_out_state("https://evil.example")
    assert process.vault.take_sign_out(Jar({policy.logout: back.value}))[0] is None


@pytest.mark.req("F33")
@pytest.mark.parametrize(
    ("state", "noticed"), [("right", False), ("wrong", True), (None, True), ("", True), ("\ud800", True)]
)
def test_the_way_back_is_checked_and_forgotten(state: str | None, *, noticed: bool, log: CapturingLogger) -> None:
    """The cookie crosses sites (Lax), goes in any case, and a foreign state is said in the log."""
    process, browser = a_process(), Browser()
    browser.take([process.vault.keep_logged_out_state("right")])
    browser.take(process.vault.check_logged_out(browser.jar(from_another_site=True), state))
    assert browser.kept == {}
    assert said(log) == ["logged_out_state_mismatch"] * noticed


@pytest.mark.req("F33")
def test_a_way_back_that_nobody_began_changes_nothing() -> None:
    """A link to the page of return sets and deletes no cookie."""
    assert a_process().vault.check_logged_out(Jar({}), "state") == []


@pytest.mark.req("B10", "F32")
def test_tickets_live_through_a_rotation() -> None:
    """All keys of the ring verify."""
    clock = MovableClock(NOW)
    old, new = (Key(id=f"0000000{n}", secret=bytes([n]) * 32, use_from=NOW + n) for n in (0, 1))
    ring = KeyRing((old,), clock)
    process, session = a_process(clock=clock, ring=ring), a_session()
    ticket = process.vault.logout_ticket(session)
    clock.advance(5)
    ring.replace((old, new))
    assert process.vault.is_logout_ticket(ticket, session)
    ring.replace((new,))
    assert not process.vault.is_logout_ticket(ticket, session)
