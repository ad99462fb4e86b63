"""The local authority and an API as one process, which a test can tell to be late or to hold its answers back.

``python -m tests.world.peers PORT BFF_URL SECRET_FILE SECONDS [OVERLAP]``. What is held decides where a BFF that
is killed meanwhile stood: ``metadata`` before its refresh token was sent, ``token`` after it was spent and before the
answer, ``api`` after the successor became durable and before the browser heard of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from local_authority.app import create_app
from local_authority.options import Lifetimes, Options

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Peers:
    """Told by ``POST /world/hold/WHAT``, ``/release/WHAT``, ``/delay/WHAT/SECONDS``; ``/world/record`` tells counts.

    A delayed answer is late by a random part of its seconds, so that answers overtake each other.
    """

    def __init__(self, authority: Any) -> None:
        self._authority = authority
        self._gates: dict[str, asyncio.Event] = {}
        self._delays: dict[str, float] = {}
        self._held = dict.fromkeys(("metadata", "token", "api"), 0)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Control, API or authority, by the path."""
        path: str = scope["path"]
        if path.startswith("/world/"):
            await self._control(path.split("/")[2:], send)
        elif path.startswith("/api/"):
            await _body_of(receive)
            await self._wait("api")
            await _answer(send, {"path": path})
        elif path.endswith("/openid-configuration"):
            await self._wait("metadata")
            await self._authority(scope, receive, send)
        elif path.endswith("/token"):
            await self._token(scope, receive, send)
        else:
            await self._authority(scope, receive, send)

    async def _token(self, scope: Message, receive: Receive, send: Send) -> None:
        """Act at once, and answer a refresh when one may."""
        body, messages = await _body_of(receive), list[Message]()

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._authority(scope, replay, keep)
        if ("grant_type", "refresh_token") in parse_qsl(body.decode()):
            await self._wait("token")
        for message in messages:
            await send(message)

    async def _wait(self, what: str) -> None:
        await asyncio.sleep(self._delays.get(what, 0.0) * random.random())
        if what in self._gates:
            self._held[what] += 1
            try:
                await self._gates[what].wait()
            finally:
                self._held[what] -= 1

    async def _control(self, words: list[str], send: Send) -> None:
        match words:
            case ["hold", what]:
                self._gates[what] = asyncio.Event()
            case ["release", what]:
                self._gates.pop(what).set()
            case ["delay", what, seconds]:
                self._delays[what] = float(seconds)
        record = self._authority.state.services.record
        counts = {"token_calls": record.token_calls, "refusals": record.refusals, "revocations": record.revocations}
        await _answer(send, {**counts, "held": self._held})


async def _body_of(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _answer(send: Send, members: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(members).encode()})


def main(port: str, bff_url: str, secret_file: str, access_token_seconds: str, overlap_seconds: str = "0") -> None:
    """Serve until SIGTERM; a spent refresh token works on for the last of these seconds."""
    options = Options(
        port=int(port),
        bff_url=bff_url,
        client_secret_file=Path(secret_file),
        lifetimes=Lifetimes(access_token=int(access_token_seconds)),
        refresh_overlap=int(overlap_seconds),
        password_cost=2,
    )
    peers: Any = Peers(create_app(options))
    uvicorn.run(peers, port=int(port), http="httptools", ws="none", lifespan="off", log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
