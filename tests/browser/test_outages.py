"""What a person is told when something does not answer; no outage loses what was typed, or signs anybody out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from local_authority.seeds import ADA
from tests.browser.conftest import NewGuest
from tests.browser.guest import Guest, row
from tests.browser.processes import Processes

pytestmark = pytest.mark.browser


@pytest.fixture
def frail_house(hasty_house: Processes) -> Iterator[Processes]:
    """A house whose services a test may take down; all of them answer again afterwards."""
    yield hasty_house
    hasty_house.start_missing()


def test_the_api_is_down(new_hasty_guest: NewGuest, frail_house: Processes) -> None:
    """An unsaved to-do stays in its field with the reason beside it, and is saved once the API answers again."""
    guest = new_hasty_guest()
    guest.sign_up()
    page = guest.page
    frail_house.stop("api")
    page.get_by_label("New to-do").fill("Written during an outage")
    page.keyboard.press("Enter")
    expect(page.locator(".refusal").filter(has_text="Not saved. The to-do service does not answer.")).to_be_visible()
    expect(page.locator(".refusal .detail").filter(has_text="Reference")).to_be_visible()
    guest.open("/todos")
    expect(page.get_by_text("Your list could not be loaded.")).to_be_visible()

    frail_house.start("api")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_label("New to-do")).to_be_visible()
    expect(page.locator(".todo.editing input")).to_have_value("Written during an outage")
    page.get_by_role("button", name="Save").click()
    expect(row(page, "Written during an outage")).to_be_visible()
    expect(page.locator(".todo.editing")).to_have_count(0)


@pytest.mark.req("BBA-17")
def test_the_authority_is_down_when_a_token_must_be_renewed(new_hasty_guest: NewGuest, frail_house: Processes) -> None:
    """An outage of the authority is said as one and ends no session: the same call succeeds when it is back."""
    guest = new_hasty_guest()
    guest.sign_up()
    page = guest.page
    frail_house.stop("authority")
    page.wait_for_timeout(3_200)
    page.get_by_label("New to-do").fill("Written during an outage")
    page.keyboard.press("Enter")
    expect(page.locator(".refusal").filter(has_text="The sign-in service does not answer")).to_be_visible()
    frail_house.start("authority")
    page.wait_for_timeout(1_200)  # for a second an outage is told again, and nobody is asked
    page.get_by_role("button", name="Save").click()
    expect(row(page, "Written during an outage")).to_be_visible()
    expect(page.locator(".todo.editing")).to_have_count(0)


def test_the_authority_is_down_at_the_sign_in(new_hasty_guest: NewGuest, frail_house: Processes) -> None:
    """A BFF that has never reached its authority says so on a page with a way on, and works as soon as it can."""
    guest = new_hasty_guest()
    frail_house.stop("bff", "authority")
    frail_house.start("bff")
    page = guest.open("/")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="The sign-in service does not answer")).to_be_visible()
    frail_house.start("authority")
    page.get_by_role("link", name="Sign in again").click()
    guest.fill_sign_in(ADA)


def test_the_bff_is_down(new_hasty_guest: NewGuest, frail_house: Processes) -> None:
    """A page whose server is gone says so where it happens, keeps what was typed, and goes on after a restart."""
    guest = new_hasty_guest()
    guest.sign_up()
    page = guest.page
    frail_house.stop("bff")
    page.get_by_label("New to-do").fill("Written to nobody")
    page.keyboard.press("Enter")
    expect(page.locator(".refusal").filter(has_text="Not saved. The server cannot be reached.")).to_be_visible()
    frail_house.start("bff")
    page.get_by_role("button", name="Save").click()
    expect(row(page, "Written to nobody")).to_be_visible()
    expect(page.locator(".todo.editing")).to_have_count(0)


def test_being_offline_is_said(guest: Guest) -> None:
    """A browser without a network shows a banner, and takes it away again."""
    guest.open("/")
    banner = guest.page.get_by_text("You are offline.")
    expect(banner).to_be_hidden()
    guest.context.set_offline(True)
    expect(banner).to_be_visible()
    guest.context.set_offline(False)
    expect(banner).to_be_hidden()


def test_a_restart_of_everything_loses_nothing(guest: Guest, house: Processes) -> None:
    """People, to-dos and sessions outlive the processes: the same tab goes on, and the same password signs in."""
    person = guest.sign_up()
    guest.add("Kept on disk")
    house.stop()
    house.start()
    guest.page.reload()
    expect(row(guest.page, "Kept on disk")).to_be_visible()
    guest.sign_out()
    guest.open("/todos").get_by_role("main").get_by_role("link", name="Sign in").click()
    guest.fill_sign_in(person)
    expect(row(guest.page, "Kept on disk")).to_be_visible()
