from __future__ import annotations

import pytest

from tests.world.authority import LocalAuthority, SignInBrowser
from tests.world.clock import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    """A clock that stands until it is moved."""
    return MovableClock()


@pytest.fixture
def authority(clock: MovableClock) -> LocalAuthority:
    """The authority in its full shape, in memory."""
    return LocalAuthority(clock=clock)


@pytest.fixture
def browser(authority: LocalAuthority) -> SignInBrowser:
    """A browser without cookies."""
    return authority.browser()
