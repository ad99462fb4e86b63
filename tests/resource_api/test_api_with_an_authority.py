"""The API and the local authority by their wire alone: what one issues, the other takes, and nothing else of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local_authority.seeds import API_CLIENT_ID, DAEMON_CLIENT_ID
from resource_api.app import create_app
from tests.resource_api.conftest import bearing, caller, settings_with
from tests.world.authority import LocalAuthority

LIST = "/api/todolist"


@pytest.fixture
def authority() -> LocalAuthority:
    """A real issuer, in this process."""
    return LocalAuthority()


@pytest.fixture
async def trusting(authority: LocalAuthority, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of an API that trusts this issuer."""
    issuer = authority.metadata["issuer"]
    settings = settings_with(tmp_path, issuers=(issuer,), metadata_url=None, audience=API_CLIENT_ID)
    app = create_app(settings, transport=authority.transport)
    async with app.router.lifespan_context(app), caller(app) as client:
        yield client


async def daemons_token(authority: LocalAuthority) -> str:
    """The seeded daemon's token."""
    answer = await authority.token(
        grant_type="client_credentials",
        client_id=DAEMON_CLIENT_ID,
        client_secret=authority.daemon_secret,
        scope=f"api://{API_CLIENT_ID}/.default",
    )
    return str(answer.json()["access_token"])


@pytest.mark.req("A-32", "A-35", "K-01", "K-02", "K-09", "K-10", "K-11")
async def test_a_person_and_a_daemon(trusting: httpx.AsyncClient, authority: LocalAuthority) -> None:
    """A person's token reaches their own items, the daemon's everybody's."""
    person = bearing((await authority.signed_in())["access_token"])
    daemon = bearing(await daemons_token(authority))
    added = (await trusting.post(LIST, json={"description": "mine"}, headers=person)).json()
    assert (await trusting.get(LIST, headers=daemon)).json() == [added]
    other = {"description": "theirs", "owner": "b0b00000-0000-4000-8000-000000000002"}
    assert (await trusting.post(LIST, json=other, headers=daemon)).status_code == 201
    assert (await trusting.get(LIST, headers=person)).json() == [added]


@pytest.mark.req("ATK-51", "RS-2")
async def test_the_other_tokens_of_a_sign_in(trusting: httpx.AsyncClient, authority: LocalAuthority) -> None:
    """An ID token and a refresh token of the same sign-in are no access tokens."""
    issued = await authority.signed_in()
    for name in ("id_token", "refresh_token"):
        assert (await trusting.get(LIST, headers=bearing(issued[name]))).status_code == 401


@pytest.mark.req("K-40", "K-43")
async def test_the_authority_rolls_its_keys(trusting: httpx.AsyncClient, authority: LocalAuthority) -> None:
    """Tokens of the key before a roll go on being taken while that key is published."""
    before = bearing(await daemons_token(authority))
    assert (await trusting.get(LIST, headers=before)).status_code == 200
    authority.rotate_keys()
    assert (await trusting.get(LIST, headers=before)).status_code == 200
