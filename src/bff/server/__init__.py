"""How this app is served: by uvicorn, behind protocols of ours that pass on nothing with two readings (rule F36)."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from bff.errors import ConfigurationError
from bff.gate.front import FRONT
from bff.relay.relay import WHOLE
from bff.server.http_protocol import MAX_HEAD_BYTES, MAX_HEAD_FIELDS, StrictHTTPProtocol
from bff.server.websocket_protocol import PING_SECONDS, StrictWebSocketProtocol

__all__ = ["MAX_HEAD_BYTES", "MAX_HEAD_FIELDS", "WHOLE", "StrictHTTPProtocol", "run", "uvicorn_config"]

KEEP_ALIVE_SECONDS = 75
WORKER_SECONDS = 60  # in which a worker has to show a sign of life: on a busy machine its imports alone may take ten


class _Lifespan(LifespanOn):
    """Tells the application, before it starts and with every request, that our own protocol stands in front of it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        if issubclass(config.http_protocol_class, StrictHTTPProtocol):
            self.state[FRONT] = True


class _Config(uvicorn.Config):
    """uvicorn's own, with the lifespan that vouches for what is served."""

    def load(self) -> None:
        super().load()
        self.lifespan_class = _Lifespan


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a server's coroutine on uvloop, where there is one: ``asyncio.run`` alone would take the slower loop.

    A relayed call makes a few hundred objects and no cycle, so the collector of cycles is asked to look less often, and
    never again at what the imports made.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    if os.name == "nt":
        asyncio.run(main)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def uvicorn_config(
    app: Callable[..., Any] | str,
    *,
    host: str,
    port: int,
    drain_seconds: int = 20,
    workers: int = 1,
    factory: bool = False,
    http: type[asyncio.Protocol] = StrictHTTPProtocol,
) -> uvicorn.Config:
    """The one way to serve this app: our protocol, uvloop, no server header, no access log, forwarding headers ignored.

    ``drain_seconds`` is how long requests under way may take at shutdown. Raises ConfigurationError for any other
    HTTP implementation, since every check of the relay builds on this one's.
    """
    if not issubclass(http, StrictHTTPProtocol):
        raise ConfigurationError(
            [f"HTTP implementation {http.__name__} is not served. Cure: start with `bff serve`, which brings its own"]
        )
    return _Config(
        app,
        host=host,
        port=port,
        http=http,
        ws=StrictWebSocketProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        loop="asyncio" if os.name == "nt" else "uvloop",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        forwarded_allow_ips=[],
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
        timeout_worker_healthcheck=WORKER_SECONDS,
        workers=workers,
        factory=factory,
    )
