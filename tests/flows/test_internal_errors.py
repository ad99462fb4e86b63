"""A fault of our own is a problem, or a page, like any other: with a trace id, without a stack trace, noted once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import structlog

from tests.world.house import House, problem_of


@pytest.mark.parametrize("path", ["/bff/user", "/docs", "/assets/bff.js", "/readyz"])
async def test_a_fault_of_our_own_is_a_problem_that_is_noted_once(house: House, path: str) -> None:
    """500 as ``internal-error``; one line in the log, with the same trace id and the traceback."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    break_inside(house)
    with structlog.testing.capture_logs() as events:
        answer = await tab.api(path)
    assert (answer.status_code, problem_of(answer)) == (500, "internal-error")
    assert "Traceback" not in answer.text
    [noted] = [event for event in events if event["event"] == "internal_error"]
    assert noted["trace_id"] == answer.json()["trace_id"]
    assert isinstance(noted["exc_info"], BaseException)


@pytest.mark.parametrize("path", ["/bff/login", "/bff/logged-out"])
async def test_a_navigation_that_breaks_ends_on_a_page(house: House, path: str) -> None:
    """Words, a way on and a reference: never plain text, never a stack trace."""
    break_inside(house)
    with structlog.testing.capture_logs():  # unconfigured, it would draw the traceback with its locals
        visit = await house.browser().tab().go(house.url(path))
    assert (visit.response.status_code, visit.heading) == (500, "Something went wrong")
    assert visit.links == ["/"]
    assert "Traceback" not in visit.response.text


def break_inside(house: House) -> None:
    """Take away what every handler needs."""
    nothing: Any = None
    state = house.bff.state
    state.services = replace(
        state.services, public_claims=nothing, relying_party=nothing, vault=_Broken(state.services.vault)
    )
    state.page = nothing


class _Broken:
    """A vault that finds sessions, so that the way to the fault is the usual one, and breaks at everything else."""

    def __init__(self, vault: Any) -> None:
        self.find_session, self.cookies_due = vault.find_session, vault.cookies_due
