"""A session that got lost on the way is renewed without a form, once, or else the page says what happened (F1)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from local_authority.seeds import ADA
from tests.world.deployment import Deployment, deployed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CALL = """async () => {
  const bff = await import("/assets/bff.js");
  bff.fetch("/api/x").catch(() => undefined);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A BFF whose access tokens live for two seconds, and an authorization server that may keep its answers."""
    with deployed(tmp_path_factory.mktemp("renewal"), access_token_seconds=2) as running:
        yield running


@pytest.fixture
def page(chromium: Browser, site: Deployment) -> Iterator[Page]:
    """Ada's account page."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site.public_url}/bff/login?return_to=/account")
    page.fill("[name=email]", ADA.email)
    page.fill("[name=password]", ADA.password)
    page.press("[name=password]", "Enter")
    expect(page).to_have_url(f"{site.public_url}/account")
    expect(page.locator("html")).to_have_attribute("data-session", "signed-in")
    yield page
    context.close()


def lose(page: Page, site: Deployment) -> None:
    """A refresh whose answer gets lost, and whose repetition the server takes for theft."""
    time.sleep(2.1)
    site.world("hold", "token")
    page.evaluate(CALL)
    site.until_held("token")
    time.sleep(5.2)
    site.world("release", "token")


@pytest.mark.req("F1")
def test_a_lost_session_is_renewed_in_one_round_trip_without_a_form(page: Page, site: Deployment) -> None:
    """The page is where it was, in a new session, and the person saw no sign-in."""
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    before = page.evaluate("async () => (await (await import('/assets/bff.js')).user({fresh: true})).session.tag")
    with page.expect_response(re.compile("/bff/callback")):
        lose(page, site)
    expect(page).to_have_url(f"{site.public_url}/account")
    expect(page.locator("html")).to_have_attribute("data-session", "signed-in")
    after = page.evaluate("async () => (await (await import('/assets/bff.js')).user({fresh: true})).session.tag")
    assert before != after
    assert not [url for url in seen if "authorize" in url or "login" in url]


@pytest.mark.req("F1", "ATK-7")
def test_where_nobody_is_known_any_more_the_page_says_what_happened(page: Page, site: Deployment) -> None:
    """One refusal, no loop; the words of the loss, and a sign-in that leads back."""
    page.context.clear_cookies(domain="127.0.0.1")
    with page.expect_response(re.compile("/bff/callback")) as refused:
        lose(page, site)
    assert refused.value.status == 403
    expect(page.locator("#outcome h1")).to_have_text("You are signed out")
    expect(page.locator("#outcome p").first).to_contain_text("An answer of the sign-in service got lost on the way")
    expect(page.locator("#outcome a").first).to_have_attribute("href", "/bff/login?return_to=%2Faccount")
    page.wait_for_timeout(1500)
    assert page.url.startswith(f"{site.public_url}/bff/callback")
