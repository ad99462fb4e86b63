"""``/bff/picture``: the last sign-in and the last call, drawn. On a development machine only, and only when asked for.

Three wrappers listen where messages pass: the front, the back channel and the upstream. None changes what it hears.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qsl

import httpx
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from bff.errors import UnknownRoute
from bff.relay.route import Route
from bff.relay.upstream import Upstream, UpstreamRequest, UpstreamResponse
from bff.routes.dependencies import public
from bff.routes.outcome_pages import OUTCOME_CSP
from bff.routes.pages import page_headers
from bff.telemetry.journal import Hop, Journal, Story, shown, shown_url

LANES: Final = {"browser": 70, "bff": 290, "authority": 510, "api": 690}
NAMES: Final = {"browser": "browser", "bff": "BFF", "authority": "authorization server", "api": "API"}
TITLES: Final = {"sign-in": "The last sign-in", "call": "The last call", "sign-out": "The last sign-out"}
ROW: Final = 52
HIDDEN_WORDS: Final = "Each … stands for a value that is a secret, or might be: none is ever written down."
# What did it, and what stands behind it: the first fitting line counts.
SOURCES: Final = (
    ("/bff/login", "routes/login.py", "RFC 6749 4.1.1", "rfc6749#section-4.1.1"),
    ("/bff/callback", "routes/login.py", "RFC 6749 4.1.2", "rfc6749#section-4.1.2"),
    ("/bff/logout", "routes/logout.py", "RFC 7009 2.1", "rfc7009#section-2.1"),
    ("openid-configuration", "oidc/metadata.py", "RFC 8414 3", "rfc8414#section-3"),
    ("keys", "oidc/key_set.py", "RFC 7517 5", "rfc7517#section-5"),
    ("refresh_token", "session/access_tokens.py", "RFC 6749 6", "rfc6749#section-6"),
    ("authorization_code", "oidc/token_client.py", "RFC 6749 4.1.3", "rfc6749#section-4.1.3"),
    ("revoke", "oidc/relying_party.py", "RFC 7009 2.1", "rfc7009#section-2.1"),
    ("authorize", "oidc/relying_party.py", "RFC 7636 4.3", "rfc7636#section-4.3"),
    ("Bearer", "relay/relay.py", "RFC 6750 2.1", "rfc6750#section-2.1"),
    ("Set-Cookie", "session/cookies.py", "RFC 6265 4.1", "rfc6265#section-4.1"),
    ("", "relay/relay.py", "RFC 9110 7.6", "rfc9110#section-7.6"),
)

router = APIRouter(prefix="/bff/picture", dependencies=[Depends(public)], include_in_schema=False)


class WatchedUpstream:
    """An upstream whose calls are written down; the call itself is the inner one's, unchanged."""

    def __init__(self, inner: Upstream, journal: Journal) -> None:
        self._inner, self._journal, self.aclose = inner, journal, inner.aclose

    @asynccontextmanager
    async def exchange(self, route: Route, request: UpstreamRequest) -> AsyncIterator[UpstreamResponse]:
        """The inner upstream's exchange (see Upstream)."""
        clock = self._journal.clock
        began = clock.monotonic()
        async with self._inner.exchange(route, request) as response:
            bearer = any(name == b"authorization" for name, _ in request.headers)
            path, parameters = shown_url(request.target.decode("latin-1"))
            what = f"{request.method} {path}{' with Authorization: Bearer …' if bearer else ''}"
            hop = Hop(source="bff", target="api", what=what, parameters=parameters, status=response.status, began=began)
            self._journal.add(replace(hop, took=clock.monotonic() - began))
            yield response


def watch_back_channel(http: httpx.AsyncClient, journal: Journal) -> None:
    """Write down every call to the authorization server; only a form's parameter names are read, not its values."""

    async def asked(request: httpx.Request) -> None:
        request.extensions["began"] = journal.clock.monotonic()

    async def answered(response: httpx.Response) -> None:
        request = response.request
        where, parameters = shown_url(str(request.url))
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            parameters += shown(parse_qsl(request.content.decode("latin-1"), keep_blank_values=True))
        began = request.extensions["began"]
        hop = Hop(
            source="bff",
            target="authority",
            what=f"{request.method} {where}",
            parameters=parameters,
            status=response.status_code,
            began=began,
        )
        journal.add(replace(hop, took=journal.clock.monotonic() - began))

    http.event_hooks = {"request": [asked], "response": [answered]}


def watched(journal: Journal, scope: Scope, send: Send, *, relayed: bool) -> Send:
    """Write down a browser's request where it belongs to a story, and return a ``send`` that writes the answer down."""
    path: str = scope["path"]
    if relayed:
        journal.begin("call")
    elif path in {"/bff/login", "/bff/callback"}:
        journal.begin("sign-in", continues=path == "/bff/callback")
    elif path.startswith("/bff/logout") or path == "/bff/logged-out":
        journal.begin("sign-out", continues=path != "/bff/logout")
    else:
        journal.leave()
        return send
    began = journal.clock.monotonic()
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    what = f"{scope['method']} {path}"
    journal.add(Hop(source="browser", target="bff", what=what, parameters=shown(query), began=began))

    async def answered(message: Message) -> None:
        if message["type"] == "http.response.start":
            _answer(journal, message, began)
        await send(message)

    return answered


def _answer(journal: Journal, message: Message, began: float) -> None:
    """Our answer to the browser, and where it sends the browser on to."""
    now, status = journal.clock.monotonic(), message["status"]
    cookies = sum(name.lower() == b"set-cookie" for name, _ in message["headers"])
    what = f"{status}, {cookies} Set-Cookie (sealed, HttpOnly)" if cookies else str(status)
    hop = Hop(source="bff", target="browser", what=what, status=status, began=now, took=now - began)
    journal.add(hop)
    location = next((value for name, value in message["headers"] if name.lower() == b"location"), b"")
    where, parameters = shown_url(location.decode("latin-1"))
    if where.startswith("http"):
        journal.add(Hop(source="browser", target="authority", what=f"GET {where}", parameters=parameters, began=now))


@router.get("")
def picture(request: Request) -> Response:
    """The page: one drawing a story, and below it every hop with its file and its section."""
    journal: Journal | None = request.app.state.journal
    if journal is None:
        raise UnknownRoute
    drawn = "".join(_story(story) for kind in TITLES if (story := journal.stories.get(kind)) is not None)
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>What just happened</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/assets/style.css">
<link rel="stylesheet" href="/assets/picture.css"></head><body><main>
<h1>What just happened</h1>
<p>Drawn on this development machine, from this process's memory. {HIDDEN_WORDS}</p>
{drawn or "<p>Nothing yet. <a href='/bff/login'>Sign in</a>, then come back.</p>"}
<p><a href="/bff/picture">Draw it again</a> · <a href="/">Back to the page</a></p></main></body></html>"""
    headers = {**page_headers(OUTCOME_CSP), "Cache-Control": "no-store"}
    return Response(page, media_type="text/html", headers=headers)


@router.get("/source/{path:path}")
def source(request: Request, path: str) -> Response:
    """A file that the picture names, as text; no other file is ever read."""
    if request.app.state.journal is None or path not in {file for _, file, *_ in SOURCES}:
        raise UnknownRoute
    text = (files("bff") / path).read_text(encoding="utf-8")
    return Response(text, media_type="text/plain", headers={**page_headers(OUTCOME_CSP), "Cache-Control": "no-store"})


def _story(story: Story) -> str:
    first = story.hops[0].began if story.hops else 0.0
    height = 40 + ROW * len(story.hops)
    lanes = "".join(
        f'<text x="{x}" y="16" text-anchor="middle" font-weight="600">{NAMES[party]}</text>'
        f'<line x1="{x}" y1="26" x2="{x}" y2="{height}" stroke="currentColor" stroke-opacity=".3"/>'
        for party, x in LANES.items()
    )
    arrows = "".join(_arrow(number, hop, first) for number, hop in enumerate(story.hops))
    rows = "".join(_row(hop, first) for hop in story.hops)
    return (
        f"<h2>{TITLES[story.kind]}</h2>"
        f'<figure tabindex="0"><svg viewBox="0 0 760 {height}" width="100%" font-size="13" fill="currentColor" '
        f'role="img" aria-label="{TITLES[story.kind]}, {len(story.hops)} hops; the list below says the same">'
        f"{lanes}{arrows}</svg></figure>"
        f"<ol>{rows}</ol>"
    )


def _arrow(number: int, hop: Hop, first: float) -> str:
    y = 60 + ROW * number
    start, end = LANES[hop.source], LANES[hop.target]
    tip = -8 if end > start else 8
    label = escape(_short(hop))
    return (
        f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="currentColor" stroke-width="1.5"/>'
        f'<path d="M{end} {y} l{tip} -5 v10 z"/>'
        f'<text x="{(start + end) / 2}" y="{y - 8}" text-anchor="middle">{number + 1}. {label}</text>'
        f'<text x="{(start + end) / 2}" y="{y + 16}" text-anchor="middle" opacity=".7">{_times(hop, first)}</text>'
    )


def _short(hop: Hop) -> str:
    if hop.target == "browser":
        return hop.what.partition(" (")[0]
    method, _, rest = hop.what.partition(" ")
    path = rest.split(" ", 1)[0]
    return hop.what if len(hop.what) < 36 else f"{method} …/{path.rstrip('/').rpartition('/')[2]}"  # noqa: PLR2004 — what fits between two lanes


def _times(hop: Hop, first: float) -> str:
    at = f"at {1000 * (hop.began - first):.1f} ms"
    return at if hop.took is None else f"{at}, took {1000 * hop.took:.1f} ms"


def _row(hop: Hop, first: float) -> str:
    said = " ".join([hop.what, *(value for name, value in hop.parameters if name == "grant_type")])
    _, file, name, section = next(line for line in SOURCES if line[0] in said)
    status = f" → {hop.status}" if hop.status is not None and hop.target != "browser" else ""
    parameters = "".join(f"<li><code>{escape(key)}</code> = {escape(value)}</li>" for key, value in hop.parameters)
    return (
        f"<li><strong>{NAMES[hop.source]} → {NAMES[hop.target]}</strong>: {escape(hop.what)}{status} "
        f"({_times(hop, first)}). "
        f'<a href="/bff/picture/source/{file}">{file}</a> · '
        f'<a href="https://www.rfc-editor.org/rfc/{section}" rel="noreferrer">{name}</a>'
        f"{f'<ul>{parameters}</ul>' if parameters else ''}</li>"
    )
