"""The two outer sides: the upstreams behind, and, where it is running, the reverse proxy in front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx

from bff.check.finding import Finding, failed, passed, warned
from bff.clock import Clock
from bff.routes.probe import PATH as PROBE
from bff.session.probe import Probe
from bff.settings import BFFSettings
from bff.settings.faults import is_loopback
from bff.wiring import probe_of

_OURS = {"X-CSRF": "1", "Sec-Fetch-Site": "same-origin"}
_NAVIGATION = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
_TICKET = 1024  # more than any answer's cookies where sessions lie in a store
_PAUSE = 0.4  # seconds between the two bytes of the check's own upload
_UNBUFFERED = "nginx: proxy_request_buffering off (deploy/nginx/bff.conf)"
_ROOM = "room for the head of an answer (nginx: proxy_buffer_size 32k and proxy_buffers 8 32k, deploy/nginx/bff.conf)"
_TOO_LARGE = frozenset({400, 413, 431, 494})


async def check_upstreams(settings: BFFSettings, transport: httpx.AsyncBaseTransport | None) -> AsyncIterator[Finding]:
    """Each upstream answers, and does not answer everybody."""
    for route in settings.route:
        verify = str(route.ca_file) if route.ca_file else True
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=5, verify=verify) as http:
            url = route.upstream.rstrip("/") + route.path
            try:
                answer = await http.get(url)
            except httpx.HTTPError as error:
                name = type(error).__name__
                yield failed("upstreams", f"{route.path} → {route.upstream}: {name}.", "start it, or correct upstream")
                continue
            if answer.is_success and route.token == "user":  # noqa: S105 — a policy's name
                message = f"{url} answers {answer.status_code} without a token."
                yield warned("upstreams", message, "see that the API demands a token on every route")
            else:
                yield passed("upstreams", f"{route.path} → {route.upstream} answers ({answer.status_code}).")


def check_proxy_settings(settings: BFFSettings, *, running: bool) -> Iterator[Finding]:
    """What can be said about a reverse proxy without asking it."""
    if is_loopback(settings.public_url):
        return
    if not settings.server.trusted_proxies:
        message = "no trusted_proxies: behind a proxy, everybody has the proxy's address in logs and limits."
        yield warned("reverse proxy", message, "name the proxy's address, if there is one")
    if not running:
        message = (
            "not asked. By default nginx holds uploads back until they are whole, which makes their cookies old, and "
            "answers 502 for more than 4 kB of cookies."
        )
        yield warned("reverse proxy", message, f"{_UNBUFFERED} and {_ROOM}; then check with --running")


async def check_running(
    settings: BFFSettings, transport: httpx.AsyncBaseTransport | None, clock: Clock
) -> list[Finding]:
    """The deployment as a browser meets it: host, sign-in, cookies, caching, room for cookies both ways, uploads."""
    http = httpx.AsyncClient(transport=transport, trust_env=False, timeout=5, base_url=settings.origin)
    probe, size = probe_of(settings, clock), settings.session.max_cookie_bytes
    back = size if settings.session.store == "cookie" else _TICKET
    async with http:
        try:
            user = await http.get("/bff/user", headers=_OURS)
            login = await http.get("/bff/login", headers=_NAVIGATION)
            crowded = await http.get("/bff/user", headers={**_OURS, "Cookie": probe.filler(size).decode()})
            probed = await _probed(http, probe, back) if settings.session.keys_file else None
        except httpx.HTTPError as error:
            message = f"{settings.origin} does not answer ({type(error).__name__})."
            return [failed("reverse proxy", message, "start it, or check without --running")]
    findings = [*_user(user), *_login(login, settings)]
    if crowded.status_code in _TOO_LARGE:
        message = f"{size} bytes of cookies are answered with {crowded.status_code}: sessions may need that room."
        cure = "raise the proxy's header buffers (nginx: large_client_header_buffers 4 32k), or lower max_cookie_bytes"
        findings.append(failed("reverse proxy", message, cure))
    findings += _way_back(probed, back)
    if findings:
        return findings
    return [passed("reverse proxy", f"host, sign-in, caching, uploads and {size} bytes of cookies arrive as sent.")]


async def _probed(http: httpx.AsyncClient, probe: Probe, size: int) -> httpx.Response:
    """Ask for so many bytes of cookies, with a body that takes its time."""

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(_PAUSE)
        yield b"b"

    headers = {**_OURS, "Cookie": probe.ask(size).decode(), "Content-Length": "2"}
    return await http.post(PROBE, headers=headers, content=body())


def _way_back(answer: httpx.Response | None, size: int) -> Iterator[Finding]:
    """What became of the cookies and of the body."""
    if answer is None:
        message = "the way back was not asked: without keys_file nobody but the deployment has its keys."
        yield warned("reverse proxy", message, "session.keys_file, as the deployment has it")
        return
    if answer.is_server_error:
        message = f"an answer with {size} bytes of cookies became {answer.status_code}: so would calls after a refresh."
        yield failed("reverse proxy", message, _ROOM)
        return
    told = _seconds_of_body(answer)
    if told is None:
        message = f"the deployment answers the check's own question with {answer.status_code}: it has other keys."
        yield warned("reverse proxy", message, "check with the deployment's keys_file and client_id, and its version")
        return
    arrived = sum(len(line.partition(";")[0]) for line in answer.headers.get_list("set-cookie"))
    if arrived < size:
        message = f"{arrived} of {size} bytes of cookies come back."
        yield failed("reverse proxy", message, f"let the proxy pass every Set-Cookie on; {_ROOM}")
    if told < _PAUSE / 2:
        message = "an upload reaches the BFF only when it is whole: its cookies may be too old by then."
        yield warned("reverse proxy", message, _UNBUFFERED)


def _seconds_of_body(answer: httpx.Response) -> float | None:
    """How long the deployment saw the body arrive; None where this is no answer of its probe."""
    try:
        told = answer.json()
    except ValueError:
        return None
    seconds = told.get("body_seconds") if isinstance(told, dict) else None
    return seconds if isinstance(seconds, float) and answer.is_success else None


def _user(answer: httpx.Response) -> Iterator[Finding]:
    if answer.status_code == httpx.codes.MISDIRECTED_REQUEST:
        yield failed(
            "reverse proxy",
            "the BFF is asked under another Host than public_url's.",
            "pass the Host on (nginx: proxy_set_header Host $host), or correct public_url",
        )
    elif not answer.is_success or "authenticated" not in answer.text:
        message = f"/bff/user answers {answer.status_code}, which is not the BFF's."
        yield failed("reverse proxy", message, "route /bff/ and every relayed path to the BFF")
    elif "no-store" not in answer.headers.get("Cache-Control", ""):
        yield failed("reverse proxy", "Cache-Control: no-store is lost on the way.", "let the proxy pass it on")


def _login(answer: httpx.Response, settings: BFFSettings) -> Iterator[Finding]:
    location = urlsplit(answer.headers.get("Location", ""))
    asked = parse_qs(location.query).get("redirect_uri", [""])[0]
    if not answer.is_redirect or not asked:
        message = f"/bff/login answers {answer.status_code} without a way to the authorization server."
        yield failed("reverse proxy", message, "read the BFF's log under the same trace id")
    elif asked != f"{settings.origin}/bff/callback":
        yield failed("reverse proxy", f"sign-in comes back to {asked!r:.120}.", "give the deployment this public_url")
    elif "set-cookie" not in answer.headers:
        yield failed("reverse proxy", "the sign-in's cookie is lost on the way.", "let the proxy pass Set-Cookie on")
