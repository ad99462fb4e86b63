"""The whole story, as a person lives it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from local_authority.seeds import ADA
from tests.browser.guest import Guest, row

pytestmark = pytest.mark.browser


@pytest.mark.req("F29", "F31", "C-15")
def test_somebody_new_signs_up_works_and_signs_out(guest: Guest) -> None:
    """From the first page to the last: sign-up, to-dos, claims, a tried call, sign-out; no answer holds a token."""
    person = guest.sign_up()
    page = guest.page
    guest.expect_at(page, "/todos$")
    guest.add("Water the plants")
    guest.add("Call the plumber")

    row(page, "Call the plumber").get_by_role("button", name="Edit “Call the plumber”").click()
    page.get_by_label("Change “Call the plumber”").fill("Call the plumber before noon")
    page.keyboard.press("Enter")
    expect(row(page, "Call the plumber before noon")).to_be_visible()

    page.get_by_role("button", name="Remove “Water the plants”").click()
    expect(page.locator("li.todo")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(row(page, "Water the plants")).to_be_visible()
    page.reload()
    expect(page.locator("li.todo")).to_have_count(2)

    page.get_by_role("link", name="Account").click()
    claims = page.get_by_role("table")
    for text in (person.name, person.email, "oid", "tid", "preferred_username"):
        expect(claims.get_by_text(text, exact=True).first).to_be_visible()

    page.get_by_role("navigation").get_by_role("link", name="API").click()
    expect(page.get_by_text(f"You are signed in as {person.name.split()[0]}")).to_be_visible()
    page.locator("#swagger .opblock-get .opblock-summary-control").first.click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table")
    expect(answer.locator(".response-col_status").nth(1)).to_contain_text("200")
    expect(answer).to_contain_text("Call the plumber before noon")
    expect(page.get_by_role("button", name="Authorize")).to_have_count(0)

    guest.sign_out()
    guest.expect_at(page, "/$")
    assert guest.watch.bodies_read > 10  # the search for tokens had something to search


def test_a_link_to_a_personal_page_leads_back_to_it(guest: Guest) -> None:
    """Whoever opens /account without being signed in is shown it after the sign-in, not the first page."""
    guest.open("/account")
    expect(guest.page.get_by_role("heading", name="Sign in to see your account")).to_be_visible()
    guest.sign_in(path="/account")
    guest.expect_at(guest.page, "/account$")
    expect(guest.page.get_by_role("table").get_by_text(ADA.email, exact=True).first).to_be_visible()


def test_cancelling_is_no_failure(guest: Guest) -> None:
    """Whoever cancels at the authority reads that nothing has happened, and may sign in after all."""
    page = guest.open("/")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="You cancelled")).to_be_visible()
    page.get_by_role("link", name="Sign in again").click()
    guest.fill_sign_in(ADA)
    guest.expect_at(page)
    assert page.evaluate("fetch('/bff/user', {headers: {'X-CSRF': '1'}}).then(r => r.json())")["authenticated"]


def test_a_wrong_password_is_said_at_the_form(guest: Guest) -> None:
    """The authority keeps what was typed, except the password, and says what to check."""
    page = guest.open("/todos")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("Email").fill(ADA.email)
    page.get_by_label("Password").fill("not-her-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(ADA.email)
    expect(page.get_by_label("Password")).to_have_value("")
    guest.fill_sign_in(ADA)
    guest.expect_at(page, "/todos$")


def test_two_tabs_sign_in_at_once_and_land_each_on_its_own_page(guest: Guest) -> None:
    """Login transactions do not replace each other: each tab comes back to the page it began from."""
    first, second = guest.open("/todos"), guest.tab("/account")
    for tab in (first, second):
        tab.get_by_role("main").get_by_role("link", name="Sign in").click()
        expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    guest.fill_sign_in(ADA, first)
    guest.expect_at(first, "/todos$")
    guest.fill_sign_in(ADA, second)
    guest.expect_at(second, "/account$")


def test_the_list_works_without_a_mouse(guest: Guest) -> None:
    """Add, edit, cancel, save and remove with the keyboard alone; the focus is never lost."""
    guest.sign_up()
    page = guest.page
    field = page.get_by_label("New to-do")
    field.focus()
    page.keyboard.type("Buy bread")
    page.keyboard.press("Enter")
    expect(row(page, "Buy bread")).to_be_visible()
    expect(field).to_be_focused()
    expect(row(page, "Buy bread")).not_to_have_class(re.compile("saving"))  # what is being saved cannot be edited yet
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Edit “Buy bread”")).to_be_focused()
    page.keyboard.press("Enter")
    editor = page.get_by_label("Change “Buy bread”")
    expect(editor).to_be_focused()
    page.keyboard.type(" and butter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit “Buy bread”")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type(" and milk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Edit “Buy bread and milk”")).to_be_focused()
    expect(row(page, "Buy bread and milk")).not_to_have_class(re.compile("saving"))
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_text("Nothing to do.")).to_be_visible()
    expect(field).to_be_focused()


@pytest.mark.req("C-15", "C-35")
def test_a_refused_to_do_stays_in_its_field(guest: Guest) -> None:
    """What the API refuses is said at the row, and what was typed is still there to be corrected."""
    guest.sign_up()
    page = guest.page
    page.get_by_label("New to-do").fill("x" * 3_000)
    page.keyboard.press("Enter")
    refusal = page.locator(".refusal").filter(has_text="Not saved.")
    expect(refusal).to_be_visible()
    editor = page.locator("li.todo.editing input")
    expect(editor).to_have_value(re.compile("^x{3000}$"))
    editor.fill("A shorter one")
    page.get_by_role("button", name="Save").click()
    expect(row(page, "A shorter one")).to_be_visible()
    expect(refusal).to_have_count(0)


def test_text_is_text_and_never_markup(guest: Guest) -> None:
    """A to-do that looks like markup is shown as it was written, and runs nothing."""
    guest.sign_up()
    guest.add("<img src=x onerror=document.title='owned'> & <b>bold</b>")
    expect(guest.page.locator("li.todo img, li.todo b")).to_have_count(0)
    expect(guest.page).to_have_title("To-do list · To-dos")
