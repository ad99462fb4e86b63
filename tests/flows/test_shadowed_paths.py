"""What the relay would take from somebody else stops the start: a team's route, the page's paths, the page's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends

from bff.app import BFF, create_app
from bff.errors import ConfigurationError
from bff.routes.dependencies import public
from tests.world.house import House

pytestmark = pytest.mark.req("F37", "ATK-66")


def app_of(house: House, **overrides: Any) -> BFF:
    """A BFF with these settings besides the house's own."""
    house.bff_overrides |= overrides
    return create_app(house.settings(), transport=house.internet, clock=house.clock)


def nothing() -> None:
    """What a team's route answers here."""


async def started(app: BFF, *paths: str) -> None:
    """Start it with a team's routes at these paths, and stop it."""
    router = APIRouter(dependencies=[Depends(public)])
    for path in paths:
        router.add_api_route(path, nothing)
    app.include_router(router)
    async with app.router.lifespan_context(app):
        pass


async def test_a_teams_route_that_the_relay_takes_stops_the_start(house: House) -> None:
    """Each is named with its cure: it would be a call to the API, with the person's token."""
    with pytest.raises(ConfigurationError) as refused:
        await started(app_of(house), "/api/report", "/api", "/reports/mine", "/api/{name}")
    assert [cause.split(":")[0] for cause in refused.value.causes] == ["/api", "/api/report", "/api/{name}"]
    assert all("Cure:" in cause for cause in refused.value.causes)


async def test_a_teams_other_routes_are_served(house: House) -> None:
    """A name that only begins alike is another one, and a parameter stands for what nobody else takes."""
    await started(app_of(house), "/apis/report", "/reports/api", "/{tenant}/report")


@pytest.mark.parametrize(("path", "own"), [("/todos/", "/todos"), ("/account", "/account")])
async def test_a_route_in_the_built_in_pages_place_stops_the_start(house: House, path: str, own: str) -> None:
    """Its own paths would be calls to the API; a page of one's own may have others."""
    route = [{"path": path, "upstream": "http://127.0.0.1:9"}]
    with pytest.raises(ConfigurationError, match=own) as refused:
        app_of(house, route=route)
    assert len(refused.value.causes) == 1
    (house.folder / "dist").mkdir()
    (house.folder / "dist/index.html").write_text("<!doctype html>")
    await started(app_of(house, route=route, page={"directory": house.folder / "dist"}))


async def test_a_route_in_a_files_place_stops_the_start(house: House, tmp_path: Path) -> None:
    """A file of a team's build that would never be served is named, as the browser asks for it."""
    build = tmp_path / "dist"
    (build / "my images").mkdir(parents=True)
    (build / "index.html").write_text("<!doctype html>")
    (build / "my images/logo.svg").write_text("<svg/>")
    with pytest.raises(ConfigurationError, match=r"/my images/logo\.svg"):
        app_of(house, route=[{"path": "/my%20images/", "upstream": "http://127.0.0.1:9"}], page={"directory": build})
