"""Every page, narrow and wide, light and dark: a picture to look at, and no violation that axe knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from local_authority.seeds import ADA
from tests.browser.conftest import NewGuest
from tests.browser.guest import Guest, Newcomer, row

pytestmark = pytest.mark.browser

SIZES: dict[int, dict[str, Any]] = {
    360: {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True},
    1280: {"viewport": {"width": 1280, "height": 800}},
}
NINA = "nina-{width}@example.com"
SETTLED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await Promise.all(document.getAnimations().map((each) => each.finished.catch(() => null)));
  await frame();
}"""


class Looks:
    """Takes pictures under names, and collects what axe and the page's width say about each."""

    def __init__(self, page: Page, folder: Path, width: int) -> None:
        self.page, self.folder, self.width = page, folder, width
        self.faults: list[str] = []
        self.rules_passed = 0

    def take(self, name: str) -> None:
        """The whole page as it is now, light and dark."""
        self.page.mouse.move(0, 0)
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            self._judge(f"{name}-{self.width}-{scheme}")

    def _judge(self, name: str) -> None:
        # A change of colour scheme is a transition too, even at 0.01 ms: axe would read the colours of its first frame.
        self.page.evaluate(SETTLED)
        self.page.screenshot(path=self.folder / f"{name}.png", full_page=True)
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        self.rules_passed += len(found["passes"])
        for violation in found["violations"]:
            self.faults += [f"{name}: {violation['id']}: {node['html'][:160]}" for node in violation["nodes"]]
        if self.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.faults.append(f"{name}: wider than the window")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("width", SIZES)
def test_every_page_is_readable(new_guest: NewGuest, screenshots: Path, width: int) -> None:
    """No page has an axe violation or a sideways scroll, at 360 and 1280 pixels, light and dark."""
    guest = new_guest(reduced_motion="reduce", **SIZES[width])
    looks = Looks(guest.page, screenshots, width)
    walk(guest, looks, Newcomer(NINA.format(width=width), "Nina Simone"))
    assert looks.faults == []
    assert looks.rules_passed > 0  # axe had something to judge


def walk(guest: Guest, looks: Looks, person: Newcomer) -> None:
    """Every page and every state of it that a person can come upon without an outage."""
    _signed_out(guest, looks)
    _at_the_authority(guest, looks, person)
    _at_work(guest, looks)
    _documentation(guest, looks)
    _leaving(guest, looks)


def _signed_out(guest: Guest, looks: Looks) -> None:
    page = guest.open("/")
    expect(page.get_by_role("main").get_by_role("link", name="Sign up")).to_be_visible()
    looks.take("home")
    guest.open("/todos")
    expect(page.get_by_role("heading", name="Sign in to see your to-do list")).to_be_visible()
    looks.take("sign-in-first")
    guest.open("/no-such-page")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    looks.take("nothing-here")
    guest.open("/bff/callback?state=unknown-state&code=unknown")
    expect(page.get_by_role("heading", name="This sign-in has expired")).to_be_visible()
    looks.take("expired")


def _at_the_authority(guest: Guest, looks: Looks, person: Newcomer) -> None:
    page = looks.page
    page.goto(guest.laptop.authority_url)
    looks.take("authority")
    page.goto(f"{guest.laptop.issuer.removesuffix('/v2.0')}/oauth2/v2.0/authorize?client_id=nobody")
    looks.take("authority-refused")
    guest.open("/todos").get_by_role("main").get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    looks.take("sign-in")
    page.get_by_label("Email").fill(ADA.email)
    page.get_by_label("Password").fill("not-her-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    looks.take("sign-in-refused")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="You cancelled")).to_be_visible()
    looks.take("cancelled")
    guest.open("/").get_by_role("main").get_by_role("link", name="Sign up").click()
    expect(page.get_by_role("heading", name="Create an account")).to_be_visible()
    looks.take("sign-up")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).to_be_visible()
    looks.take("sign-up-refused")
    guest.sign_up(person)


def _at_work(guest: Guest, looks: Looks) -> None:
    page = looks.page
    looks.take("todos-empty")
    for text in (
        "Ask Ada about the engine",
        "Buy bread, olives and a good cheese",
        "Water the plants",
        "Call the plumber",
    ):
        guest.add(text)
    page.get_by_label("New to-do").blur()
    looks.take("todos")
    row(page, "Buy bread").get_by_role("button", name="Edit “Buy bread, olives and a good cheese”").click()
    looks.take("todos-editing")
    page.locator("li.todo.editing input").fill("Buy " + "very " * 600 + "good cheese")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".refusal").filter(has_text="Not saved.")).to_be_visible()
    looks.take("todos-refused")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Remove “Water the plants”").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    looks.take("todos-removed")
    guest.open("/account")
    expect(page.get_by_role("table")).to_be_visible()
    looks.take("account")
    guest.open("/")
    expect(page.get_by_role("link", name="View your to-do list")).to_be_visible()
    looks.take("home-signed-in")


def _documentation(guest: Guest, looks: Looks) -> None:
    page = guest.open("/docs")
    expect(page.get_by_text("You are signed in as")).to_be_visible()
    page.locator("#swagger .opblock-get .opblock-summary-control").first.click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text("Call the plumber")
    looks.take("docs")


def _leaving(guest: Guest, looks: Looks) -> None:
    page, other = guest.open("/todos"), guest.tab("/account")
    expect(other.get_by_role("table")).to_be_visible()
    page.get_by_label("New to-do").fill("A thought not yet finished")
    guest.sign_out(other)
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    looks.take("signed-out")
