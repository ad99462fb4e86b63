"""Which door a request came through: only our own server keeps rule F36, and everything behind builds on it.

Another one hands on request trailers as header fields, a second Host, targets and heads of any kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NoReturn

from bff.errors import ConfigurationError

FRONT: Final = "bff.front"
"""In the state of every scope that comes from our own server, or from a test that stands in for it."""

_ANOTHER = (
    "another HTTP server than bff.server's stands in front, which passes on what ours refuses. Cure: bff serve, or "
    "uvicorn_config of bff.server; in a test without a server, in_process of bff.pytest_plugin"
)


async def refuse_start(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer a lifespan, so that no server takes the refusal for an application that has none."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": _ANOTHER})


def refuse_request() -> NoReturn:
    """Raise ConfigurationError, for a server that asks no application to start."""
    raise ConfigurationError([_ANOTHER])
