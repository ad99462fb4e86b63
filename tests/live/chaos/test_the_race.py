"""The race, short, at the local authority: ``tests/interop/test_race.py`` is its judge, and writes its rows."""

from __future__ import annotations

import asyncio

import pytest

from tests.world.chaos import SHORT_FORM
from tests.world.chaos_site import Site

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
ROUNDS, PARALLEL = 5, 200


@pytest.mark.req("F1", "F3", "F4", "F7", "F9", "F13", "ADV-2", "ATK-16", "OA-5", "BBA-17")
@pytest.mark.parametrize("mode", SHORT_FORM["race"])
async def test_two_hundred_calls_through_an_expired_session_are_one_token_call(site: Site) -> None:
    """On three replicas, or by two workers: round after round, and nobody is signed out."""
    refused = site.replicas.refusals()
    for jar in await site.expired(ROUNDS):
        before = site.replicas.refreshes()
        answers = await asyncio.gather(*(site.call(dict(jar), number) for number in range(PARALLEL)))
        assert {answer.status for answer in answers} == {200}
        assert site.replicas.refreshes() - before == 1
        changed = [answer.cookies for answer in answers if answer.cookies]
        assert len(changed) == (0 if site.replicas.mode == "sessions" else PARALLEL)
        assert len(set(changed)) <= 1, "a generation is sealed once (F4)"
        assert await site.logged_out([jar]) == []
    assert site.replicas.refusals() == refused
