"""The two outer sides: the upstreams behind, and, where it is running, the reverse proxy in front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx

from bff.check.finding import Finding, failed, passed, warned
from bff.settings import BFFSettings
from bff.settings.faults import is_loopback

_OURS = {"X-CSRF": "1", "Sec-Fetch-Site": "same-origin"}
_NAVIGATION = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
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


def check_proxy_settings(settings: BFFSettings) -> Iterator[Finding]:
    """What can be said about a reverse proxy without asking it."""
    if not is_loopback(settings.public_url) and not settings.server.trusted_proxies:
        message = "no trusted_proxies: behind a proxy, everybody has the proxy's address in logs and limits."
        yield warned("reverse proxy", message, "name the proxy's address, if there is one")


async def check_running(settings: BFFSettings, transport: httpx.AsyncBaseTransport | None) -> list[Finding]:
    """The deployment as a browser meets it: host, sign-in, cookies, caching, room for cookies."""
    http = httpx.AsyncClient(transport=transport, trust_env=False, timeout=5, base_url=settings.origin)
    async with http:
        try:
            user = await http.get("/bff/user", headers=_OURS)
            login = await http.get("/bff/login", headers=_NAVIGATION)
            filler = "; ".join(f"filler{number}={'x' * 1000}" for number in range(6))
            crowded = await http.get("/bff/user", headers={**_OURS, "Cookie": filler})
        except httpx.HTTPError as error:
            message = f"{settings.origin} does not answer ({type(error).__name__})."
            return [failed("reverse proxy", message, "start it, or check without --running")]
    findings = [*_user(user), *_login(login, settings)]
    if crowded.status_code in _TOO_LARGE:
        message = f"6 kB of cookies are answered with {crowded.status_code}: sessions need that room."
        cure = "raise the proxy's header buffers to 32 kB (nginx: large_client_header_buffers 4 32k)"
        findings.append(failed("reverse proxy", message, cure))
    return findings or [passed("reverse proxy", "host, sign-in, cookies and caching arrive as they were sent.")]


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
