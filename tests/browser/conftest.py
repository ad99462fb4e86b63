"""A real Chromium that reaches this machine only, and the three services it talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.guest import Guest
from tests.browser.processes import Processes, running

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",  # Chromium refuses to run as root with it, and CI is root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
NewGuest: TypeAlias = Callable[..., Guest]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser; each guest has a jar of their own in it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=list(ARGUMENTS),
            ignore_default_args=["--disable-back-forward-cache"],  # playwright's; people have that cache
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The services as ``make run`` starts them."""
    with running(tmp_path_factory.mktemp("house")) as processes:
        yield processes


@pytest.fixture(scope="session")
def hasty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The same with access tokens of a few seconds, and sessions that end after a few more without use."""
    with running(tmp_path_factory.mktemp("hasty"), access_token_seconds=3, idle="12s") as processes:
        yield processes


@pytest.fixture
def new_guest(chromium: Browser, house: Processes) -> Iterator[NewGuest]:
    """Guests of the house: each with an empty jar, all asked at the end whether a page had a complaint."""
    yield from _guests(chromium, house)


@pytest.fixture
def new_hasty_guest(chromium: Browser, hasty_house: Processes) -> Iterator[NewGuest]:
    """Guests of the hasty house."""
    yield from _guests(chromium, hasty_house)


@pytest.fixture
def guest(new_guest: NewGuest) -> Guest:
    """One guest of the house."""
    return new_guest()


def _guests(chromium: Browser, house: Processes) -> Iterator[NewGuest]:
    guests: list[Guest] = []

    def come(**options: object) -> Guest:
        guests.append(Guest(chromium, house.laptop, **options))
        return guests[-1]

    yield come
    for one in guests:
        one.leave()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where the pictures go."""
    folder = Path("build/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
