"""The account page shows where somebody is signed in, and ends it there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from local_authority.seeds import ADA
from tests.browser.conftest import NewGuest
from tests.browser.guest import Guest, row
from tests.browser.test_looks import SIZES, Looks

pytestmark = pytest.mark.browser

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
AT_ONCE = 3_000  # milliseconds: a second is promised, and the machine may be slow


def listed(page: Page) -> Locator:
    """The rows of the list."""
    return page.locator(".devices li")


def sign_out_all_others(page: Page) -> None:
    """Whatever other tests have left signed in."""
    others = page.locator(".devices button:visible")
    expect(listed(page).first).to_be_visible()
    while (left := others.count()) > 0:
        others.first.click()
        expect(others).to_have_count(left - 1)


def answer_the_list_with(guest: Guest, status: int, slug: str) -> None:
    """A server in trouble, or one of another deployment."""
    problem = {"type": f"urn:bff:problem:{slug}", "title": "Trouble", "status": status}
    guest.context.unroute("**/bff/sessions")
    guest.context.route(
        "**/bff/sessions",
        lambda route: route.fulfill(status=status, body=json.dumps(problem), content_type="application/problem+json"),
    )


@pytest.mark.req("F9", "F13", "F28")
def test_a_session_is_ended_from_another_browser(new_guest: NewGuest) -> None:
    """This one is marked; the other's page hides what it showed within a second, and says who did it."""
    desk, phone = new_guest(), new_guest(user_agent=IPHONE)
    person = desk.sign_up()
    phone.open("/todos").get_by_role("main").get_by_role("link", name="Sign in").click()
    phone.fill_sign_in(person)
    phone.add("Only on my phone")

    page = desk.open("/account")
    expect(listed(page)).to_have_count(2)
    expect(listed(page).first).to_contain_text("Chrome on Linux")
    expect(listed(page).first).to_contain_text("This device")
    expect(listed(page).first.get_by_role("button")).to_have_count(0)
    expect(listed(page).nth(1)).to_contain_text("Safari on iPhone")
    listed(page).nth(1).get_by_role("button", name="Sign out: Safari on iPhone").click()
    expect(listed(page)).to_have_count(1)
    expect(page.get_by_text("Nowhere else.")).to_be_visible()
    expect(page.get_by_role("heading", name="Where you are signed in")).to_be_focused()

    expect(phone.page.get_by_text("You ended this session from another of your devices.")).to_be_visible(
        timeout=AT_ONCE
    )
    expect(phone.page.get_by_text("Only on my phone")).to_have_count(0)
    desk.open("/todos")
    expect(row(desk.page, "Only on my phone")).to_be_visible()


@pytest.mark.req("F13")
def test_a_list_that_cannot_be_had_says_so(guest: Guest) -> None:
    """The rest of the page is there, and the list says why it is not; a server that keeps none shows nothing."""
    guest.sign_up()
    answer_the_list_with(guest, 503, "session-store-unavailable")
    page = guest.open("/account")
    expect(page.get_by_text("Sessions cannot be checked right now.")).to_be_visible()
    expect(page.get_by_role("table")).to_be_visible()
    answer_the_list_with(guest, 404, "unknown-route")
    guest.open("/account")
    expect(page.get_by_role("table")).to_be_visible()
    expect(page.get_by_role("heading", name="Where you are signed in")).to_have_count(0)


@pytest.mark.parametrize("width", SIZES)
def test_the_list_looks_as_it_should(new_guest: NewGuest, screenshots: Path, width: int) -> None:
    """Narrow and wide, light and dark, and no violation that axe knows."""
    guest = new_guest(reduced_motion="reduce", **SIZES[width])
    guest.sign_in(ADA)
    sign_out_all_others(guest.open("/account"))
    for agent in (IPHONE, FIREFOX):
        new_guest(user_agent=agent).sign_in(ADA)
    page = guest.open("/account")
    expect(listed(page)).to_have_count(3)
    looks = Looks(page, screenshots, width)
    looks.take("account-sessions")
    assert looks.faults == []
    assert looks.rules_passed > 0
