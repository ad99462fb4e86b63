"""Somebody at a browser: what they do on the pages, and what must hold whatever they do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, Request, expect

from deploy.local.laptop import Laptop
from local_authority.seeds import ADA, SeededPerson

JWT = re.compile(rb"eyJ[\w-]+\.(?:eyJ)?[\w-]+\.[\w-]*")
_VIOLATION = re.compile(r"Content.Security.Policy|Trusted(?:HTML|Script|ScriptURL)")
_NUMBERS = count(1)


@dataclass
class Watch:
    """What a context's pages reported, and what their scripts could read."""

    complaints: list[str] = field(default_factory=list)
    bodies_read: int = 0
    origin: str = ""

    def attach(self, page: Page) -> None:
        """Listen to one page."""
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("requestfinished", self._finished)

    def _heard(self, message: ConsoleMessage) -> None:
        if _VIOLATION.search(message.text):
            self.complaints.append(message.text)

    def _finished(self, request: Request) -> None:
        """Search the body of each answer of ours for a JWT: what a page's script may read holds none (BBA-1)."""
        if not request.url.startswith(self.origin) or request.resource_type not in {"document", "fetch", "xhr"}:
            return
        try:
            response = request.response()
            body = response.body() if response is not None else b""
        except Error:  # a redirect has no body, and a page that is left takes its bodies along
            return
        self.bodies_read += 1
        if JWT.search(body):
            self.complaints.append(f"a JWT in the answer of {request.url}")


@dataclass
class Newcomer:
    """Somebody whom the authority does not know yet."""

    email: str
    name: str
    password: str = "correct-horse-battery"

    @classmethod
    def next(cls) -> Newcomer:
        """A person of their own for each test: an empty list, and nobody else's to-dos."""
        number = next(_NUMBERS)
        return cls(f"marie{number}@example.com", f"Marie {number}")


class Guest:
    """One browser with an empty jar; ``page`` is its first tab."""

    def __init__(self, browser: Browser, laptop: Laptop, **options: Any) -> None:
        self.laptop = laptop
        self.watch = Watch(origin=laptop.public_url)
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(8_000)
        self.page = self.tab()

    def tab(self, path: str | None = None) -> Page:
        """A further tab; at ``path`` once it has drawn itself."""
        page = self.context.new_page()
        self.watch.attach(page)
        if path is not None:
            self.open(path, page)
        return page

    def open(self, path: str, page: Page | None = None) -> Page:
        """Go to a path of the BFF."""
        page = page or self.page
        page.goto(self.laptop.public_url + path)
        return page

    def sign_in(self, person: SeededPerson = ADA, path: str = "/todos", page: Page | None = None) -> Page:
        """Open a personal page, take its offer to sign in, and come back to it."""
        page = self.open(path, page)
        page.get_by_role("main").get_by_role("link", name="Sign in").click()
        return self.fill_sign_in(person, page)

    def fill_sign_in(self, person: SeededPerson | Newcomer, page: Page | None = None) -> Page:
        """Answer the authority's sign-in form."""
        page = page or self.page
        page.get_by_label("Email").fill(person.email)
        page.get_by_label("Password").fill(person.password)
        page.get_by_role("button", name="Sign in").click()
        self.expect_at(page)
        return page

    def sign_up(self, person: Newcomer | None = None) -> Newcomer:
        """From the first page to an empty list, as somebody new."""
        person = person or Newcomer.next()
        self.open("/").get_by_role("main").get_by_role("link", name="Sign up").click()
        self.page.get_by_label("Email").fill(person.email)
        self.page.get_by_label("Display name").fill(person.name)
        self.page.get_by_label("Password").fill(person.password)
        self.page.get_by_role("button", name="Create account").click()
        expect(self.page.get_by_text("Nothing to do.")).to_be_visible()
        return person

    def expect_at(self, page: Page, path: str = "") -> None:
        """The tab is at the BFF again, and not on its way."""
        expect(page).to_have_url(re.compile(rf"^{re.escape(self.laptop.public_url)}{path}"))

    def add(self, text: str, page: Page | None = None) -> None:
        """Type a to-do and add it; ends once the API holds it."""
        page = page or self.page
        page.get_by_label("New to-do").fill(text)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(row(page, text)).to_be_visible()
        expect(row(page, text)).not_to_have_class(re.compile("saving"))

    def sign_out(self, page: Page | None = None) -> None:
        """Press the header's button; ends on the first page."""
        page = page or self.page
        page.get_by_role("navigation").get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("main").get_by_role("link", name="Sign up")).to_be_visible()

    def cookies(self) -> dict[str, dict[str, object]]:
        """The BFF's cookies in the jar, by name without its port."""
        jar = self.context.cookies(self.laptop.public_url)
        prefix = f"bff-{self.laptop.port}"
        return {one["name"].removeprefix(prefix): dict(one) for one in jar if one["name"].startswith(prefix)}

    def leave(self) -> None:
        """Close every tab; nothing may have been complained about."""
        self.context.close()
        assert self.watch.complaints == []


def row(page: Page, text: str) -> Locator:
    """The row of one to-do."""
    return page.locator("li.todo").filter(has_text=text)
