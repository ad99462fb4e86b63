"""A session that ends elsewhere: open pages hear of it at once, without being touched, and say why."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import NewGuest
from tests.browser.guest import Guest, row

pytestmark = pytest.mark.browser

AT_ONCE = 3_000  # milliseconds: a second is promised, and the machine may be slow


def streams_of(page: Page) -> list[Request]:
    """The streams that a tab opens from now on."""
    found: list[Request] = []
    page.on("request", lambda request: found.append(request) if request.url.endswith("/bff/events") else None)
    return found


def sign_out_at_the_authority(guest: Guest) -> None:
    """Leave the authority by its own page, in a tab of its own."""
    with urlopen(f"{guest.laptop.issuer}/.well-known/openid-configuration", timeout=5) as answer:
        end_session = json.load(answer)["end_session_endpoint"]
    page = guest.tab()
    page.goto(end_session)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()


@pytest.mark.req("F28", "BCL-3")
def test_every_tab_says_that_the_person_signed_out_elsewhere(guest: Guest) -> None:
    """Of three tabs one reads the stream, and all three show within a second why nothing of theirs is shown."""
    guest.sign_up()
    guest.add("Not for the next one here")
    tabs = [guest.page]
    streams = streams_of(guest.page)
    for _ in range(2):
        tab = guest.tab()
        streams_there = streams_of(tab)
        guest.open("/todos", tab)
        expect(row(tab, "Not for the next one here")).to_be_visible()
        assert streams_there == []
        tabs.append(tab)
    assert streams == []  # it was opened at the sign-in, and nobody had to open another one
    sign_out_at_the_authority(guest)
    for tab in tabs:
        expect(tab.get_by_text("You signed out somewhere else.")).to_be_visible(timeout=AT_ONCE)
        expect(tab.get_by_text("Not for the next one here")).to_have_count(0)


@pytest.mark.req("F28")
def test_another_tab_reads_the_stream_when_the_first_one_closes(guest: Guest) -> None:
    """The lock goes to the next tab, which hears of the end as the first one would have."""
    guest.sign_up()
    second = guest.tab()
    streams = streams_of(second)
    guest.open("/todos", second)
    expect(second.get_by_label("New to-do")).to_be_visible()
    with second.expect_request("**/bff/events"):
        guest.page.close()
    assert len(streams) == 1
    sign_out_at_the_authority(guest)
    expect(second.get_by_text("You signed out somewhere else.")).to_be_visible(timeout=AT_ONCE)


@pytest.mark.req("F28", "F19")
def test_a_stream_keeps_nobody_signed_in(new_hasty_guest: NewGuest) -> None:
    """An open page that nobody touches is signed out after the idle time, says why, and keeps what was typed."""
    guest = new_hasty_guest()
    guest.sign_up()
    page = guest.page
    page.get_by_label("New to-do").fill("A thought not yet finished")
    expect(page.get_by_text("Nothing was done for a while")).to_be_visible(timeout=20_000)
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_label("New to-do")).to_have_value("A thought not yet finished")
