"""An ASGI application around the authority that spoils its answers as told: the wire's half of the misbehaviours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from local_authority.misbehaving.misbehaviours import Endpoint, Misbehaviour, Misbehaviours

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OVERSIZE: Final = 8_000_000
STRANGER: Final = "https://another-authority.example"
OK: Final = 200
SEE_OTHER: Final = 303
MEMBERS: Final[Mapping[Misbehaviour, str]] = {
    Misbehaviour.ID_TOKEN_MISSING: "id_token",
    Misbehaviour.REFRESH_TOKEN_MISSING: "refresh_token",
    Misbehaviour.EXPIRES_IN_MISSING: "expires_in",
}


class ConnectionLost(Exception):
    """The connection broke after the request was read: nobody knows what became of it."""


class Unreachable(Exception):
    """Nothing listens: the request provably never arrived."""


@dataclass(slots=True)
class Answer:
    """A whole answer, held back so that it can be spoilt."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    @classmethod
    def of(cls, status: int, content: object, **headers: str) -> Answer:
        """A JSON answer."""
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return cls(status, [(b"content-type", b"application/json"), *named], json.dumps(content).encode())


@dataclass(frozen=True, slots=True)
class MisbehavingWire:
    """``endpoints`` maps paths to endpoints; every other path passes untouched."""

    app: Application
    misbehaviours: Misbehaviours
    endpoints: Mapping[str, Endpoint]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the authority would, but for what is on."""
        at = self.endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if at is None:
            await self.app(scope, receive, send)
            return
        await self._delay(at)
        body = await _read(receive)
        answer = self._instead(at, body) or await self._held_back(scope, body)
        if self.misbehaviours.take(Misbehaviour.ANSWER_LOST, at):
            await _send(answer, send, whole=False)
            raise ConnectionLost
        await _send(self._spoilt(answer, at), send)

    async def _delay(self, at: Endpoint) -> None:
        if self.misbehaviours.take(Misbehaviour.UNREACHABLE, at):
            raise Unreachable
        if self.misbehaviours.take(Misbehaviour.SLOW, at):
            await asyncio.sleep(self.misbehaviours.seconds)

    def _instead(self, at: Endpoint, body: bytes) -> Answer | None:
        """An answer that the authority never gave; nothing happened inside."""
        take = self.misbehaviours.take
        if take(Misbehaviour.DOWN, at):
            return Answer(503, [(b"content-type", b"text/plain")], b"down")
        if take(Misbehaviour.TOO_MANY_REQUESTS, at):
            return Answer.of(429, {"error": "temporarily_unavailable"}, retry_after="1")
        if take(Misbehaviour.REDIRECTED, at):
            return Answer.of(307, {}, location=f"{STRANGER}/{at}")
        return self._refused(body) if at == "token" else None

    def _refused(self, body: bytes) -> Answer | None:
        take, refreshing = self.misbehaviours.take, b"grant_type=refresh_token" in body
        if take(Misbehaviour.INVALID_CLIENT, "token"):
            return Answer.of(401, {"error": "invalid_client"})
        if take(Misbehaviour.INVALID_GRANT, "token") or (refreshing and take(Misbehaviour.REFRESH_REFUSED, "token")):
            return Answer.of(400, {"error": "invalid_grant"})
        return None

    async def _held_back(self, scope: Scope, body: bytes) -> Answer:
        answer = Answer(500, [])

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self.app(scope, replay, hold)
        return answer

    def _spoilt(self, answer: Answer, at: Endpoint) -> Answer:
        if self.misbehaviours.take(Misbehaviour.BROKEN_JSON, at):
            answer.body = answer.body[: len(answer.body) // 2]
        if self.misbehaviours.take(Misbehaviour.OVERSIZED, at):
            answer.body = b'{"padding":"' + b"x" * OVERSIZE + b'"}'
        if at == "token" and answer.status == OK:
            self._spoil_tokens(answer)
        if at == "metadata" and self.misbehaviours.take(Misbehaviour.METADATA_WRONG_ISSUER, at):
            answer.body = json.dumps({**json.loads(answer.body), "issuer": STRANGER}).encode()
        if at == "authorize" and answer.status == SEE_OTHER:
            self._spoil_response(answer)
        return answer

    def _spoil_tokens(self, answer: Answer) -> None:
        for name, member in MEMBERS.items():
            if self.misbehaviours.take(name, "token"):
                content = {key: value for key, value in json.loads(answer.body).items() if key != member}
                answer.body = json.dumps(content).encode()

    def _spoil_response(self, answer: Answer) -> None:
        """The ``iss`` of an authorization response in a query (RFC 9207)."""
        location = dict(answer.headers)[b"location"].decode()
        parts = urlsplit(location)
        pairs = parse_qsl(parts.query)
        if self.misbehaviours.take(Misbehaviour.RESPONSE_WRONG_ISSUER, "authorize"):
            pairs = [*(pair for pair in pairs if pair[0] != "iss"), ("iss", STRANGER)]
        if self.misbehaviours.take(Misbehaviour.RESPONSE_MISSING_ISSUER, "authorize"):
            pairs = [pair for pair in pairs if pair[0] != "iss"]
        if self.misbehaviours.take(Misbehaviour.RESPONSE_REPEATED_ISSUER, "authorize"):
            pairs = [*pairs, *(pair for pair in pairs if pair[0] == "iss")]
        spoilt = urlunsplit(parts._replace(query=urlencode(pairs))).encode()
        answer.headers = [(name, spoilt if name == b"location" else value) for name, value in answer.headers]


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


async def _send(answer: Answer, send: Send, *, whole: bool = True) -> None:
    """Send it; where it shall be lost, a half under the length of the whole, so that the server must cut the line."""
    headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = answer.body if whole else answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": body, "more_body": not whole})
