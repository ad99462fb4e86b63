"""The tutorial as a newcomer meets it: one command a step, and a real Chromium."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from local_authority.seeds import ADA
from tests.world.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
TIMES = ROOT / "build/tutorial.json"
START_SECONDS = 90.0
WALK_SECONDS = 60.0
"""More than this between a step's address and its last sight, by a browser that need not read, would be our fault."""


@contextmanager
def step(number: int, folder: Path) -> Iterator[str]:
    """A step as ``make tutorial STEP=n`` starts it; its address, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "examples.tutorial", str(number), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _await(f"http://localhost:{port}/livez", process, folder / "log")
        ready = time.monotonic()
        yield f"http://localhost:{port}"
        walked = time.monotonic() - ready
        _note(number, ready=ready - began, walked=walked)
        assert walked < WALK_SECONDS
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert b"Ready after " in (folder / "log").read_bytes()


def _note(number: int, **seconds: float) -> None:
    """Keep what a step took, in seconds, beside the other steps' times: the tutorial's text says them."""
    times = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}
    times[f"step {number}"] = {name: round(value, 1) for name, value in seconds.items()}
    TIMES.parent.mkdir(exist_ok=True)
    TIMES.write_text(json.dumps(times, indent=1), encoding="utf-8")


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(log.read_text())


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A tab with an empty jar; no script of its pages may fail, and no policy may stop one."""
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Security Policy" in message.text else None)
    yield page
    context.close()
    assert complaints == []


def signs_in(tab: Page, url: str) -> None:
    """Press the page's button, and type what the terminal shows."""
    tab.goto(url)
    expect(tab.get_by_text("Nobody is signed in.")).to_be_visible()
    tab.get_by_role("button", name="Sign in").click()
    tab.locator("input[name=email]").fill(ADA.email)
    tab.locator("input[name=password]").fill(ADA.password)
    tab.locator("input[name=password]").press("Enter")
    expect(tab.get_by_text("Hi Ada Lovelace!")).to_be_visible()


def test_step_2_shows_something(tmp_path: Path, tab: Page) -> None:
    """A page, before anybody can sign in."""
    with step(2, tmp_path) as url:
        tab.goto(url)
        expect(tab.get_by_role("heading", name="Step 2")).to_be_visible()


def test_step_3_signs_in_tells_of_the_token_and_draws_it(tmp_path: Path, tab: Page) -> None:
    """A greeting, the token's life without the token, and the picture of every hop."""
    with step(3, tmp_path) as url:
        signs_in(tab, url)
        expect(tab.get_by_text("The app holds an access token for")).to_be_visible()
        tab.get_by_role("link", name="What just happened").click()
        expect(tab.get_by_role("img")).to_be_visible()
        expect(tab.get_by_role("heading", name="The last sign-in")).to_be_visible()
        took = tab.locator("ol li").filter(has_text="oidc/token_client.py").first.text_content() or ""
        assert " took " in took
        tab.goto(url)
        tab.get_by_role("button", name="Sign out").click()
        expect(tab.get_by_text("Nobody is signed in.")).to_be_visible(timeout=20_000)


def test_step_4_adds_and_removes_a_task(tmp_path: Path, tab: Page) -> None:
    """What a person types goes to the API with the app's token, and comes back as text, never as markup."""
    with step(4, tmp_path) as url:
        signs_in(tab, url)
        tab.get_by_label("A new task").fill("Call the <b>API</b>")
        tab.get_by_role("button", name="Add").click()
        item = tab.locator("#todos li")
        expect(item).to_have_count(1)
        assert (item.text_content() or "").startswith("Call the <b>API</b>")
        item.get_by_role("button").click()
        expect(item).to_have_count(0)
