"""What a browser does by itself: it loads pages ahead of time, and it posts the form that brings the answer back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from local_authority.seeds import ADA
from tests.browser.guest import Guest
from tests.browser.processes import Processes, running

pytestmark = pytest.mark.browser

# A page that guesses where its reader goes next: it asks the browser to load the sign-out and the sign-in link now.
INDEX = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page that guesses</title>
<script type="module" src="/guess.js"></script></head><body><main><h1>A page that guesses</h1>
<p><a id="in" href="/bff/login">Sign in</a></p><p id="who"></p></main></body></html>"""
GUESS = """import { user } from "/assets/bff.js";
const who = await user();
document.getElementById("who").textContent = who.authenticated ? "signed in" : "signed out";
const urls = who.authenticated ? [who.logout_url, "/bff/login?prompt=login"] : [];
const rules = document.createElement("script");
rules.type = "speculationrules";
rules.textContent = JSON.stringify({
  prefetch: [{urls, eagerness: "immediate"}],
  prerender: [{urls: urls.slice(0, 1), eagerness: "immediate"}],
});
document.head.append(rules);
"""
CSP = "default-src 'none'; script-src 'self' 'inline-speculation-rules'; connect-src 'self'; style-src 'self'"
GUESSED_WITHIN = 10.0  # seconds


@pytest.fixture(scope="module")
def guessing_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The three services with that page, and authorization responses that come as forms."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(INDEX, encoding="utf-8")
    (folder / "guess.js").write_text(GUESS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BFF_PAGE__DIRECTORY", str(folder))
        environment.setenv("BFF_PAGE__CSP", CSP)
        environment.setenv("BFF_AUTHORITY__RESPONSE_MODE", "form_post")
        with running(tmp_path_factory.mktemp("guessing")) as processes:
            yield processes


@pytest.fixture
def guest(chromium: Browser, guessing_house: Processes) -> Iterator[Guest]:
    """Somebody at that page."""
    one = Guest(chromium, guessing_house.laptop)
    yield one
    one.leave()


def sign_in(guest: Guest) -> Page:
    """By the page's own link, and back."""
    page = guest.open("/")
    page.locator("#in").click()
    guest.fill_sign_in(ADA)
    expect(page.locator("#who")).to_have_text("signed in")
    return page


@pytest.mark.req("BCP-13", "C-03", "F24", "F25")
def test_an_answer_that_is_posted_is_a_sign_in(guest: Guest) -> None:
    """Chromium sends the transaction with the cross-site POST; the code is in no address, and the cookie goes."""
    posted: list[Request] = []
    guest.page.on("request", lambda request: posted.append(request) if "/bff/callback" in request.url else None)
    page = guest.open("/")
    page.locator("#in").click()
    expect(page.get_by_label("Password")).to_be_visible()
    (transaction,) = (one for name, one in guest.cookies().items() if name.startswith("-tx-"))
    assert (transaction["sameSite"], transaction["secure"], transaction["httpOnly"]) == ("None", True, True)
    guest.fill_sign_in(ADA)
    expect(page.locator("#who")).to_have_text("signed in")
    [callback] = posted
    assert (callback.method, "code=" in callback.url, "code=" in (callback.post_data or "")) == ("POST", False, True)
    assert not [name for name in guest.cookies() if name.startswith("-tx-")]
    assert guest.cookies()[""]["sameSite"] == "Strict"


@pytest.mark.req("F27", "F32", "ATK-27")
def test_a_page_that_is_loaded_ahead_of_time_signs_nobody_out(guest: Guest, guessing_house: Processes) -> None:
    """Chromium guesses the sign-out link, the server answers that this has no effect, and the session lives."""
    page = sign_in(guest)
    log = guessing_house.log("bff")
    deadline = time.monotonic() + GUESSED_WITHIN
    while log.read_text(encoding="utf-8").count("speculative-request") < 2:
        assert time.monotonic() < deadline, "Chromium did not guess"
        page.wait_for_timeout(100)
    page.reload()
    expect(page.locator("#who")).to_have_text("signed in")
    assert not [name for name in guest.cookies() if name.startswith("-tx-")]
    link = page.evaluate("import('/assets/bff.js').then(({user}) => user()).then((who) => who.logout_url)")
    guest.open(link)
    guest.expect_at(page, "/$")
    expect(page.locator("#who")).to_have_text("signed out")
