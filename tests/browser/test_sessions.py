"""Sessions as a browser lives them: their ends, their cookies, several tabs, several people, and the way back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from local_authority.seeds import ADA, GRACE
from tests.browser.conftest import NewGuest
from tests.browser.guest import JWT, Guest, row

pytestmark = pytest.mark.browser

CALL = """async ([method, path, tag]) => {
  const headers = {"X-CSRF": "1", "Content-Type": "application/json"};
  if (tag) headers["X-BFF-Session"] = tag;
  const body = method === "POST" ? JSON.stringify({description: "Written from another account"}) : undefined;
  const response = await fetch(path, {method, headers, body});
  return {status: response.status, body: await response.json()};
}"""
STORED = """async () => {
  const names = (await indexedDB.databases()).map(({name}) => name);
  const caches = await globalThis.caches.keys();
  return {cookie: document.cookie, local: {...localStorage}, session: {...sessionStorage}, names, caches};
}"""
SHOWN_AT_FIRST_SIGHT = """addEventListener("pageshow", ({persisted}) => {
  const rows = document.getElementsByClassName("todo-text");
  const seen = () => [...rows].some((row) => row.checkVisibility({visibilityProperty: true}));
  window.firstSight = {persisted, shown: seen()};
  requestAnimationFrame(() => { window.firstSight.shown ||= seen(); });
});"""

ASLEEP = """(event) => {
  if (event === "pageshow") dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}));
  else {
    for (const state of ["hidden", "visible"]) {
      Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
    }
  }
  const row = document.querySelector(".todo-text");
  return {
    concealed: "concealed" in document.documentElement.dataset,
    shown: row.checkVisibility({visibilityProperty: true}),
  };
}"""


def call(page: Page, method: str, path: str, tag: str | None = None) -> dict[str, Any]:
    """One call as a script of the page makes it."""
    answer: dict[str, Any] = page.evaluate(CALL, [method, path, tag])
    return answer


def session_tag(page: Page) -> str:
    """The public name of the session that the page is in."""
    tag: str = call(page, "GET", "/bff/user")["body"]["session"]["tag"]
    return tag


def callbacks_of(page: Page) -> list[Request]:
    """The requests to the callback that this tab makes from now on."""
    found: list[Request] = []

    def note(request: Request) -> None:
        if "/bff/callback" in request.url:
            found.append(request)

    page.on("request", note)
    return found


@pytest.mark.req("F30")
def test_signing_out_in_one_tab_hides_the_other(guest: Guest) -> None:
    """The other tab shows nothing personal any more and offers to sign in again, without being touched."""
    guest.sign_up()
    guest.add("A secret wish")
    other = guest.tab("/todos")
    expect(row(other, "A secret wish")).to_be_visible()
    guest.sign_out()
    expect(other.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(other.get_by_text("A secret wish")).to_have_count(0)
    expect(other.get_by_role("link", name="Sign in again")).to_be_visible()


@pytest.mark.req("F30")
def test_no_tab_writes_into_another_account(guest: Guest) -> None:
    """A tab of one person is told when another signs in, and its calls are refused: nothing lands in that account."""
    guest.sign_in(ADA)
    first, tag_of_ada = guest.page, session_tag(guest.page)
    expect(first.get_by_label("New to-do")).to_be_visible()
    second = guest.tab()
    guest.open("/bff/login?prompt=login&return_to=/todos", second)
    guest.fill_sign_in(GRACE, second)
    guest.expect_at(second, "/todos$")

    expect(first.get_by_role("heading", name="Somebody else is signed in now")).to_be_visible()
    refused = call(first, "POST", "/api/todolist", tag_of_ada)
    assert (refused["status"], refused["body"]["type"]) == (409, "urn:bff:problem:session-changed")
    second.reload()
    expect(second.get_by_role("heading", name="To-do list")).to_be_visible()
    expect(second.get_by_text("Written from another account")).to_have_count(0)

    first.get_by_role("button", name=f"Go on as {GRACE.name}").click()
    expect(first.get_by_label("New to-do")).to_be_visible()
    assert session_tag(first) != tag_of_ada


@pytest.mark.req("F30")
def test_the_way_back_shows_nothing_after_the_sign_out(guest: Guest) -> None:
    """Neither the cache of whole pages nor the history brings a list back: not even for the first frame."""
    guest.context.add_init_script(SHOWN_AT_FIRST_SIGHT)
    guest.sign_up()
    guest.add("A secret wish")
    guest.page.goto(f"{guest.laptop.public_url}/docs")
    expect(guest.page.get_by_role("heading", name="API documentation")).to_be_visible()
    guest.sign_out(guest.tab("/todos"))
    guest.page.go_back()
    expect(guest.page.get_by_role("main").get_by_role("link", name="Sign in")).to_be_visible()
    assert guest.page.evaluate("window.firstSight.shown") is False
    expect(guest.page.get_by_text("A secret wish")).to_have_count(0)


@pytest.mark.req("F30")
@pytest.mark.parametrize("event", ["pageshow", "visibilitychange"])
def test_a_page_that_was_asleep_shows_nothing_before_it_has_asked(guest: Guest, event: str) -> None:
    """A page kept alive by the browser, or a tab that comes back into view, covers its content until it knows."""
    guest.sign_up()
    guest.add("A secret wish")
    guest.context.clear_cookies()  # the end of the session, which no tab has told this one about
    assert guest.page.evaluate(ASLEEP, event) == {"concealed": True, "shown": False}
    expect(guest.page.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(guest.page.get_by_text("A secret wish")).to_have_count(0)


@pytest.mark.req("F30")
def test_the_way_back_shows_the_list_again_while_the_session_lives(guest: Guest) -> None:
    """Whoever is still signed in finds the list as it was left, once the server has said so."""
    guest.sign_up()
    guest.add("Still there")
    guest.page.goto(f"{guest.laptop.public_url}/docs")
    expect(guest.page.get_by_role("heading", name="API documentation")).to_be_visible()
    guest.page.go_back()
    expect(row(guest.page, "Still there")).to_be_visible()


@pytest.mark.req("BBA-4", "BBA-5", "BBA-6", "BBA-7", "F25", "F26")
def test_cookies_are_out_of_reach_and_gone_after_the_sign_out(guest: Guest) -> None:
    """Every cookie is HttpOnly and for this host alone; the session's are Strict; one that ends is really deleted."""
    guest.open("/todos").get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(guest.page.get_by_role("heading", name="Sign in")).to_be_visible()
    (transaction,) = (one for name, one in guest.cookies().items() if name.startswith("-tx-"))
    assert (transaction["httpOnly"], transaction["sameSite"]) == (True, "Lax")
    guest.fill_sign_in(ADA)
    guest.expect_at(guest.page, "/todos$")

    jar = guest.cookies()
    assert {"", "-idle"} <= jar.keys()
    assert not [name for name in jar if name.startswith("-tx-")]
    assert {(one["httpOnly"], one["path"], one["domain"]) for one in jar.values()} == {(True, "/", "localhost")}
    assert (jar[""]["sameSite"], jar["-idle"]["sameSite"]) == ("Strict", "Strict")
    assert not JWT.search(repr(jar).encode())

    guest.sign_out()
    assert not {"", ".1", "-idle", "-logout", "-logged-out"} & guest.cookies().keys()
    assert call(guest.page, "GET", "/bff/user")["body"]["authenticated"] is False


@pytest.mark.req("F31")
def test_scripts_find_nothing_to_steal(guest: Guest) -> None:
    """No cookie, storage, database or cache that a script can read holds a token; drafts alone are kept."""
    guest.sign_in(ADA)
    expect(guest.page.get_by_label("New to-do")).to_be_visible()
    guest.page.get_by_label("New to-do").fill("A thought")
    stored = guest.page.evaluate(STORED)
    assert stored["cookie"] == ""
    assert (stored["local"], stored["names"], stored["caches"]) == ({}, [], [])
    assert set(stored["session"]) == {"todos.drafts"}
    assert not JWT.search(repr(stored).encode())


@pytest.mark.req("F23", "F24", "BBA-5")
def test_the_session_cookie_stays_at_home_on_the_way_back_from_the_authority(guest: Guest) -> None:
    """The callback is a cross-site navigation even on a laptop: Chromium sends it the transaction and no session."""
    guest.sign_in(ADA)
    before = session_tag(guest.page)
    callbacks = callbacks_of(guest.page)
    guest.open("/bff/login?prompt=login&return_to=/todos")
    guest.fill_sign_in(ADA)
    guest.expect_at(guest.page, "/todos$")
    sent = callbacks[0].all_headers()["cookie"]
    names = {pair.partition("=")[0].removeprefix(f"bff-{guest.laptop.port}") for pair in sent.split("; ")}
    assert not {"", "-idle"} & names
    assert any(name.startswith("-tx-") for name in names)
    assert session_tag(guest.page) != before


@pytest.mark.req("F23", "ATK-6")
def test_a_callback_that_is_opened_twice_leads_on(guest: Guest) -> None:
    """The second delivery of an answer signs nobody in; who is signed in by now goes on, anybody else reads why not."""
    callbacks = callbacks_of(guest.page)
    guest.sign_in(ADA)
    guest.expect_at(guest.page, "/todos$")
    guest.page.goto(callbacks[0].url)
    guest.expect_at(guest.page, "/$")
    guest.sign_out()
    guest.page.goto(callbacks[0].url)
    expect(guest.page.get_by_role("heading", name="This sign-in has expired")).to_be_visible()


@pytest.mark.req("F32")
def test_a_sign_out_link_works_for_its_own_session_only(new_guest: NewGuest) -> None:
    """The link of this very session signs out at once; somebody else's asks, and changes nothing by itself."""
    ada, grace = new_guest(), new_guest()
    ada.sign_in(ADA)
    grace.sign_in(GRACE)
    link = call(ada.page, "GET", "/bff/user")["body"]["logout_url"]
    foreign = call(grace.page, "GET", "/bff/user")["body"]["logout_url"]
    ada.open(foreign)
    expect(ada.page.get_by_role("heading", name="Sign out?")).to_be_visible()
    expect(ada.page.get_by_role("button", name="Sign out")).to_be_visible()
    assert call(ada.page, "GET", "/bff/user")["body"]["authenticated"] is True
    ada.open(link)
    ada.expect_at(ada.page, "/$")
    assert call(ada.page, "GET", "/bff/user")["body"]["authenticated"] is False


@pytest.mark.req("F33", "RPIL-1")
def test_signing_out_ends_the_authoritys_session_too(guest: Guest) -> None:
    """After the sign-out the authority asks for a password again, and the way back leaves no state behind."""
    guest.sign_in(ADA)
    guest.sign_out()
    guest.open("/todos").get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(guest.page.get_by_label("Password")).to_be_visible()
    assert "-logged-out" not in guest.cookies()


@pytest.mark.req("BBA-17", "F19")
def test_a_session_that_ended_keeps_what_was_typed(new_hasty_guest: NewGuest) -> None:
    """Who was not told of the end learns by the next call why, signs in again, and finds the draft where it was."""
    guest = new_hasty_guest()
    guest.context.route("**/bff/events", lambda route: route.abort())
    guest.sign_up()
    page = guest.page
    page.get_by_label("New to-do").fill("A thought not yet finished")
    page.wait_for_timeout(13_000)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(page.get_by_text("Nothing was done for a while")).to_be_visible()
    expect(page.get_by_text("What you had typed is kept")).to_be_visible()
    page.get_by_role("link", name="Sign in again").click()
    guest.expect_at(page, "/todos$")  # the authority still knows them
    expect(page.locator(".todo.editing input")).to_have_value("A thought not yet finished")


@pytest.mark.req("F2")
def test_a_token_is_renewed_without_anybody_noticing(new_hasty_guest: NewGuest) -> None:
    """A call after the access token's end works: the session has a new cookie, and no answer has a token."""
    guest = new_hasty_guest()
    guest.sign_up()
    before = guest.cookies()[""]["value"]
    guest.page.wait_for_timeout(3_500)
    guest.add("Written with a second token")
    assert guest.cookies()[""]["value"] != before
    expect(guest.page).to_have_url(re.compile("/todos$"))
