"""Two tabs on one list: nobody's words are replaced unseen, and a long list is there to its end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewGuest
from tests.browser.guest import Guest, row

pytestmark = pytest.mark.browser


def edit(page: Page, before: str, after: str) -> None:
    """Open a row and type over it; nothing is saved yet."""
    page.get_by_role("button", name=f"Edit “{before}”").click()
    page.get_by_label(f"Change “{before}”").fill(after)


@pytest.fixture
def tabs(guest: Guest) -> tuple[Page, Page]:
    """Two tabs of one person, both showing “Buy milk”."""
    guest.sign_up()
    guest.add("Buy milk")
    other = guest.tab("/todos")
    expect(row(other, "Buy milk")).to_be_visible()
    return guest.page, other


def contested(tabs: tuple[Page, Page]) -> Page:
    """The first tab saved while the second was being typed into; the second, once it tried to save too."""
    first, second = tabs
    edit(second, "Buy milk", "Buy soy milk")
    edit(first, "Buy milk", "Buy oat milk")
    first.keyboard.press("Enter")
    expect(row(first, "Buy oat milk")).not_to_have_class("saving")
    expect(first.get_by_role("button", name="Edit “Buy oat milk”")).to_be_visible()
    second.get_by_role("button", name="Save").click()
    refusal = second.locator(".refusal").filter(has_text="Meanwhile it was changed elsewhere to “Buy oat milk”.")
    expect(refusal).to_be_visible()
    expect(second.get_by_label("Change “Buy oat milk”")).to_have_value("Buy soy milk")
    return second


def test_whoever_saves_second_is_shown_what_the_first_wrote(tabs: tuple[Page, Page]) -> None:
    """What was typed is still there beside what is stored now; keeping mine replaces it, knowingly."""
    second = contested(tabs)
    second.get_by_role("button", name="Keep mine").click()
    expect(second.get_by_role("button", name="Edit “Buy soy milk”")).to_be_visible()
    tabs[0].reload()
    expect(row(tabs[0], "Buy soy milk")).to_be_visible()
    expect(tabs[0].locator("li.todo")).to_have_count(1)


def test_whoever_saves_second_may_leave_it_as_it_is(tabs: tuple[Page, Page]) -> None:
    """Keeping theirs drops what was typed and shows what is stored."""
    second = contested(tabs)
    second.get_by_role("button", name="Keep theirs").click()
    expect(second.get_by_role("button", name="Edit “Buy oat milk”")).to_be_visible()
    second.reload()
    expect(row(second, "Buy oat milk")).to_be_visible()


def test_the_contest_is_readable_on_a_telephone(new_guest: NewGuest, screenshots: Path) -> None:
    """At 360 pixels both choices and both texts are on the screen, and nothing is wider than it."""
    guest = new_guest(viewport={"width": 360, "height": 740})
    guest.sign_up()
    guest.add("Buy milk")
    other = guest.tab("/todos")
    second = contested((guest.page, other))
    expect(second.get_by_role("button", name="Keep mine")).to_be_in_viewport()
    expect(second.get_by_role("button", name="Keep theirs")).to_be_in_viewport()
    assert second.evaluate("document.documentElement.scrollWidth") <= 360
    second.screenshot(path=screenshots / "contested-360.png")


def test_what_was_changed_elsewhere_is_not_removed_unseen(tabs: tuple[Page, Page]) -> None:
    """The row stays, with its new words and the reason; removing it once more removes it."""
    first, second = tabs
    edit(first, "Buy milk", "Buy oat milk")
    first.keyboard.press("Enter")
    expect(first.get_by_role("button", name="Edit “Buy oat milk”")).to_be_visible()
    second.get_by_role("button", name="Remove “Buy milk”").click()
    expect(row(second, "Buy oat milk").locator(".refusal")).to_contain_text("Not removed.")
    second.get_by_role("button", name="Remove “Buy oat milk”").click()
    expect(second.get_by_text("Nothing to do.")).to_be_visible()


def test_the_same_words_are_no_contest(tabs: tuple[Page, Page]) -> None:
    """Two who wrote the same are both saved, and nobody is asked anything."""
    first, second = tabs
    for page in tabs:
        edit(page, "Buy milk", "Buy oat milk")
    for page in (first, second):
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("button", name="Edit “Buy oat milk”")).to_be_visible()
        expect(page.locator(".refusal:visible")).to_have_count(0)


def test_a_long_list_is_there_to_its_end(guest: Guest) -> None:
    """The page follows the API's pages until there is none: all to-dos, the newest first."""
    guest.sign_up()
    guest.add("The first of many")
    with sqlite3.connect(guest.laptop.folder / "todos.sqlite") as database:
        (owner,) = database.execute("SELECT owner FROM todos WHERE description = 'The first of many'").fetchone()
        more = [(owner, f"Number {number}") for number in range(2, 451)]
        database.executemany("INSERT INTO todos (owner, description) VALUES (?, ?)", more)
    database.close()
    page = guest.page
    page.reload()
    expect(page.locator("li.todo")).to_have_count(450)
    expect(page.locator("li.todo").first).to_contain_text("Number 450")
    expect(page.locator("li.todo").last).to_contain_text("The first of many")
