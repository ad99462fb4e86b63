"""The BFF behind a server that is not its own does not start, and where nobody asks it to start, it answers nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, Request

from bff.app import BFF, create_app
from bff.pytest_plugin import in_process
from bff.routes.dependencies import public
from bff.server import uvicorn_config
from tests.world.house import House
from tests.world.serving import exchange, serving

pytestmark = [pytest.mark.req("F36", "ATK-36"), pytest.mark.timeout(20)]
Configure = Callable[..., uvicorn.Config]
TRAILERS = (
    b"POST /reports HTTP/1.1\r\nHost: localhost:3000\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\nClient-Cert: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
)


@pytest.fixture
def app(house: House) -> BFF:
    """A team's application: what its route was told is in ``app.state.heard``."""
    app = create_app(house.settings(), transport=house.internet, clock=house.clock)
    app.state.heard = []

    @app.post("/reports", dependencies=[Depends(public)])
    async def report(request: Request) -> None:
        """Note which fields arrive."""
        await request.body()
        app.state.heard.append(set(request.headers))

    return app


def plain(app: Any, **options: Any) -> uvicorn.Config:
    """A configuration as uvicorn's own documentation makes it."""
    return uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, **options)


async def refused(config: uvicorn.Config, caplog: pytest.LogCaptureFixture) -> None:
    """Serve, and see the process end with the cause in its log."""
    with pytest.raises(SystemExit):
        await uvicorn.Server(config)._serve()  # without its handlers of signals: those are the test runner's
    assert "Cure: bff serve" in caplog.text


@pytest.mark.parametrize("http", ["httptools", "h11", "auto"])
@pytest.mark.parametrize("lifespan", ["auto", "on"])
async def test_it_does_not_start_behind_another_server(
    app: BFF, caplog: pytest.LogCaptureFixture, http: Any, lifespan: Any
) -> None:
    """Also where a server goes on without a lifespan that it takes for unsupported."""
    await refused(plain(app, http=http, lifespan=lifespan), caplog)


def test_it_answers_nothing_behind_a_server_that_does_not_start_it(app: BFF) -> None:
    """Without a lifespan nobody is asked at the start, so each request is refused before anybody reads it."""
    with serving(plain(app, http="httptools", lifespan="off")) as port:
        answer = exchange(port, TRAILERS)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert app.state.heard == []


def test_behind_its_own_server_no_trailer_is_a_header(app: BFF) -> None:
    """The same request is served there, without the fields that no front proxy could strip."""
    with serving(uvicorn_config(app, host="127.0.0.1", port=0, drain_seconds=1)) as port:
        answer = exchange(port, TRAILERS)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert app.state.heard == [{"host", "connection", "transfer-encoding"}]


async def test_a_configuration_that_was_changed_behind_its_back_vouches_for_nothing(
    app: BFF, caplog: pytest.LogCaptureFixture
) -> None:
    """What counts is the protocol that will be served, not who made the configuration."""
    config = uvicorn_config(app, host="127.0.0.1", port=0)
    config.http = "h11"
    await refused(config, caplog)


async def test_a_test_may_stand_in_for_the_server(app: BFF, house: House) -> None:
    """It says so with ``in_process``; without it, its requests come from nowhere."""
    for stands_in, status in ((in_process(app), 200), (app, 500)):
        transport = httpx.ASGITransport(stands_in)
        async with httpx.AsyncClient(transport=transport, base_url=house.origin) as client:
            assert (await client.post("/reports")).status_code == status


async def test_a_test_may_start_it_as_a_server_does(app: BFF) -> None:
    """A client that speaks the lifespan protocol starts it through ``in_process``."""
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    told: list[str] = []

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def send(message: dict[str, Any]) -> None:
        told.append(message["type"])

    await in_process(app)({"type": "lifespan"}, receive, send)
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
