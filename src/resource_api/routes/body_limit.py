"""No body larger than any valid one is ever held in memory. A pure ASGI middleware."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 16 * 1024


class BodyLimit:
    """Counts a body as it is read: whoever does not read it, because the caller may not call, never meets the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its reader gets HTTPException 413: any other, FastAPI would turn into a 400."""
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_counted if scope["type"] == "http" else receive, send)
