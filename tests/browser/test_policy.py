"""What Chromium itself makes of our policies: content security, cookies of an https origin, calls without a session."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from bff.session.cookies import CookiePolicy, SetCookie
from tests.browser.guest import Guest

pytestmark = pytest.mark.browser

HTTPS = CookiePolicy.for_public_url("https://app.example.com")
NAMES = (HTTPS.session, HTTPS.chunk(1), HTTPS.idle, HTTPS.out, HTTPS.logout, HTTPS.logged_out, HTTPS.loop)
INJECTED = """() => {
  const style = document.createElement("style");
  style.textContent = "body { visibility: hidden }";
  const script = document.createElement("script");
  try {
    script.textContent = "window.injected = true";
  } catch {} // where trusted types are required, not even this is possible
  document.head.append(style, script);
  return {ran: window.injected ?? false, hidden: getComputedStyle(document.body).visibility === "hidden"};
}"""


@contextmanager
def setting(*answers: list[SetCookie]) -> Iterator[str]:
    """A server whose n-th page sets the n-th cookies; yields its address, which Chromium trusts like https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path[1:].isdigit():
                for cookie in answers[int(self.path[1:])]:
                    name, value = cookie.header()
                    self.send_header(name.decode(), value.decode())
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.req("F26", "BBA-3", "BBA-8")
@pytest.mark.parametrize("same_site", ["Strict", "Lax", "None"])
def test_chromium_keeps_and_deletes_each_cookie_of_an_https_origin(chromium: Browser, same_site: str) -> None:
    """Every ``__Host-Http-`` cookie as we set it is stored, and as we delete it is gone."""
    kept = [HTTPS.cookie(name, b"sealed", same_site=same_site) for name in NAMES]  # type: ignore[arg-type]  # because parametrize hands over plain strings
    gone = [HTTPS.deletion(name, same_site=same_site) for name in NAMES]  # type: ignore[arg-type]  # because parametrize hands over plain strings
    context = chromium.new_context()
    with setting(kept, gone) as address:
        page = context.new_page()
        page.goto(f"{address}/0")
        jar = {one["name"]: one for one in context.cookies()}
        assert set(jar) == set(NAMES)
        assert {(one["secure"], one["httpOnly"], one["sameSite"]) for one in jar.values()} == {(True, True, same_site)}
        page.goto(f"{address}/1")
        assert context.cookies() == []
    context.close()


@pytest.mark.parametrize("path", ["/", "/docs", "/bff/callback?state=unknown-state&code=x"])
def test_what_is_injected_does_not_count(chromium: Browser, guest: Guest, path: str) -> None:
    """The content security policy of every kind of page stops inline scripts and styles, and says so in the console."""
    stranger = Guest(chromium, guest.laptop)
    page = stranger.open(path)
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        assert page.evaluate(INJECTED) == {"ran": False, "hidden": False}
    assert stranger.watch.complaints  # the watch that all other guests stand under does hear it
    stranger.context.close()


@pytest.mark.req("F29")
def test_a_call_tried_out_without_a_session_is_refused(guest: Guest) -> None:
    """The documentation says that nobody is signed in, and a call tried from it is answered with 401."""
    page = guest.open("/docs")
    expect(page.get_by_text("You are not signed in")).to_be_visible()
    page.locator("#swagger .opblock-get .opblock-summary-control").first.click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table")
    expect(answer.locator(".response-col_status").nth(1)).to_contain_text("401")
    expect(answer).to_contain_text("urn:bff:problem:no-session")
