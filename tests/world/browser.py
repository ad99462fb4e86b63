"""A browser without a window: cookies by the rules, Fetch Metadata on every request, forms, redirects, tabs.

It honours Secure, Path, SameSite with its redirect chain, the ``__Host-`` and ``__Host-Http-`` prefixes and Max-Age
(RFC 6265bis), and sends Sec-Fetch-* and Origin as the Fetch standard says. A site is scheme and host, without the port.
A script of another origin is asked for in a preflight first, and reads no answer that does not name it (Fetch 3.3).
"""

from __future__ import annotations

import json as codec
import re
import time
from dataclasses import dataclass, field, replace
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from tests.world.internet import Internet

MAX_REDIRECTS = 10
SIMPLE_METHODS = frozenset({"GET", "HEAD", "POST"})
SIMPLE_HEADERS = frozenset({"accept", "accept-language", "content-language", "content-type"})
SIMPLE_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


class Blocked(Exception):
    """The browser did not send a cross-origin request, or does not let the script read its answer."""


@dataclass
class StoredCookie:
    name: str
    value: str
    host: str
    path: str
    secure: bool
    http_only: bool
    same_site: str
    expires: float | None


@dataclass
class Form:
    """A form of a document: where it goes and what it holds."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[dict[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").upper()))
        elif tag == "input" and self.forms and values.get("type") not in {"submit", "button"} and "name" in values:
            self.forms[-1].fields[values["name"]] = values.get("value", "")
        elif tag in {"button", "input"} and self.forms:
            self.forms[-1].buttons.append(values)
        elif tag == "a" and "href" in values:
            self.links.append(values["href"])


@dataclass
class Visit:
    """Where a navigation ended: the address, the answer, and every address it passed."""

    url: str
    response: httpx.Response
    chain: list[str]

    @property
    def forms(self) -> list[Form]:
        parser = _Forms()
        parser.feed(self.response.text)
        return parser.forms

    @property
    def heading(self) -> str:
        """The document's first heading, which says to a person what happened."""
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.response.text, re.DOTALL)
        return "" if found is None else unescape(found[1]).strip()

    @property
    def links(self) -> list[str]:
        parser = _Forms()
        parser.feed(self.response.text)
        return parser.links

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


class Browser:
    """One person's browser: a cookie jar that all tabs share."""

    def __init__(self, internet: Internet, *, clock: Any = time) -> None:
        self.internet, self.cookies = internet, dict[tuple[str, str, str], StoredCookie]()
        self.user_agent = "Browser"
        self._now = clock.now if hasattr(clock, "now") else clock.time

    def tab(self) -> Tab:
        """Open a tab."""
        return Tab(self)

    # -- cookies ---------------------------------------------------------------------------------------------------

    def cookies_for(self, url: str, *, cross_site: bool, safe_navigation: bool) -> list[StoredCookie]:
        """The cookies that a request to this URL carries (RFC 6265bis 5.8.3)."""
        parts = urlsplit(url)
        found = []
        for cookie in list(self.cookies.values()):
            if cookie.expires is not None and cookie.expires <= self._now():
                del self.cookies[cookie.host, cookie.path, cookie.name]
                continue
            if cookie.host != parts.hostname or not _path_matches(parts.path or "/", cookie.path):
                continue
            if cookie.secure and not _trustworthy(url):
                continue
            if cross_site and (cookie.same_site == "strict" or (cookie.same_site == "lax" and not safe_navigation)):
                continue
            found.append(cookie)
        return sorted(found, key=lambda cookie: -len(cookie.path))

    def store(self, url: str, header: str, *, cross_site_subresource: bool = False) -> None:
        """Store one ``Set-Cookie``, or ignore it as a browser would (RFC 6265bis 5.7)."""
        pair, *attributes = header.split(";")
        name, _, value = pair.strip(" \t").partition("=")
        said = {key.strip().lower(): item.strip() for key, _, item in (part.partition("=") for part in attributes)}
        parts = urlsplit(url)
        secure = "secure" in said
        cookie = StoredCookie(
            name, value, parts.hostname or "", said.get("path") or "/", secure, "httponly" in said,
            said.get("samesite", "lax").lower(), self._now() + int(said["max-age"]) if "max-age" in said else None,
        )  # fmt: skip
        if secure and not _trustworthy(url):
            return
        if cross_site_subresource and cookie.same_site != "none":
            return
        if cookie.same_site == "none" and not secure:
            return
        if name.lower().startswith("__host-") and (not secure or cookie.path != "/" or "domain" in said):
            return
        if name.lower().startswith("__host-http-") and not cookie.http_only:
            return
        if len(name) + len(value) > 4096:
            return
        key = (cookie.host, cookie.path, cookie.name)
        if cookie.expires is not None and cookie.expires <= self._now():
            self.cookies.pop(key, None)
        else:
            self.cookies[key] = cookie

    def names(self, url: str | None = None) -> set[str]:
        """The names of all cookies held, or of those of one host."""
        host = None if url is None else urlsplit(url).hostname
        return {cookie.name for cookie in self.cookies.values() if host is None or cookie.host == host}

    def value(self, url: str, name: str) -> str:
        """The value of one cookie of one host, at path /."""
        return self.cookies[urlsplit(url).hostname or "", "/", name].value

    def kept(self) -> dict[tuple[str, str, str], StoredCookie]:
        """A copy of the jar, as malware or a backup takes it."""
        return {key: replace(cookie) for key, cookie in self.cookies.items()}

    def forget(self, url: str, name: str) -> None:
        """Lose one cookie."""
        for key in [key for key in self.cookies if key[0] == urlsplit(url).hostname and key[2] == name]:
            del self.cookies[key]

    def script_sees(self, url: str) -> set[str]:
        """What ``document.cookie`` names on a page at this URL."""
        carried = self.cookies_for(url, cross_site=False, safe_navigation=True)
        return {cookie.name for cookie in carried if not cookie.http_only}

    def toss(self, url: str, name: str, value: str, path: str = "/x") -> None:
        """Plant a cookie the way another program on this host could."""
        host = urlsplit(url).hostname or ""
        self.cookies[host, path, name] = StoredCookie(
            name, value, host, path, secure=False, http_only=False, same_site="lax", expires=None
        )

    async def send(
        self, method: str, url: str, *, headers: dict[str, str], body: bytes, cross_site: bool, navigation: bool
    ) -> httpx.Response:
        """One request with the cookies it carries; what the answer sets is stored."""
        carried = self.cookies_for(url, cross_site=cross_site, safe_navigation=navigation and method in {"GET", "HEAD"})
        cookie = {"Cookie": "; ".join(f"{one.name}={one.value}" for one in carried)} if carried else {}
        request = httpx.Request(
            method,
            url,
            headers={"User-Agent": self.user_agent, "Accept-Language": "en", **headers, **cookie},
            content=body,
        )
        response = await self.internet.handle_async_request(request)
        for header in response.headers.get_list("set-cookie"):
            self.store(url, header, cross_site_subresource=cross_site and not navigation)
        return response


class Tab:
    """One tab: where it is, and what its page may do."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.url, self.visit = browser, "about:blank", Visit("about:blank", httpx.Response(200), [])

    async def go(
        self,
        url: str,
        *,
        method: str = "GET",
        form: dict[str, str] | None = None,
        initiator: str | None = None,
        extra: dict[str, str] | None = None,
    ) -> Visit:
        """Navigate: from the address bar (no initiator), from a link or a form of the page at ``initiator``."""
        chain: list[str] = []
        body = urlencode(form).encode() if form is not None else b""
        cross_site = initiator is not None and not _same_site(initiator, url)
        relation = "none" if initiator is None else _relation(initiator, url)
        origin = _origin(initiator) if initiator is not None else None
        for _ in range(MAX_REDIRECTS):
            headers = {
                "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
                "Sec-Fetch-Site": relation,
                "Sec-Fetch-User": "?1",
                **(extra or {}),
            }
            if method == "POST":
                headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin or "null"}
            response = await self.browser.send(
                method, url, headers=headers, body=body, cross_site=cross_site, navigation=True
            )
            chain.append(url)
            if response.status_code not in {301, 302, 303, 307, 308} or "location" not in response.headers:
                break
            target = urljoin(url, response.headers["location"])
            if response.status_code not in {307, 308}:
                method, body = "GET", b""
            if relation != "none":
                relation = _worse(relation, _relation(url, target))
            elif not _same_site(url, target):
                relation = "cross-site"
            cross_site = cross_site or not _same_site(url, target)
            url = target
        else:
            raise AssertionError(f"too many redirects: {chain}")
        self.url, self.visit = url, Visit(url, response, chain)
        return self.visit

    async def link(self, target: str) -> Visit:
        """Follow a link of the page."""
        return await self.go(urljoin(self.url, target), initiator=self.url)

    async def submit(self, number: int = 0, **values: str) -> Visit:
        """Fill and submit a form of the page; a value ``_button`` names the button that is pressed (``name=value``)."""
        form = self.visit.forms[number]
        fields = dict(form.fields)
        if button := values.pop("_button", None):
            name, _, value = button.partition("=")
            fields[name] = value
        fields |= values
        target = urljoin(self.url, form.action or self.url)
        if form.method == "POST":
            return await self.go(target, method="POST", form=fields, initiator=self.url)
        return await self.go(f"{target}?{urlencode(fields)}", initiator=self.url)

    async def fetch(
        self, target: str, *, method: str = "GET", headers: dict[str, str] | None = None, json: Any = None
    ) -> httpx.Response:
        """What the page's script can do. Raises Blocked where the answer does not let this origin in (Fetch 3.3)."""
        url = urljoin(self.url, target)
        relation = _relation(self.url, url)
        own = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            own["content-type"] = "application/json"
        if relation != "same-origin" and _needs_preflight(method, own):
            await self._preflight(method, url, own)
        body = b"" if json is None else codec.dumps(json).encode()
        response = await self._subresource(method, url, "cors", "empty", own, body)
        if relation != "same-origin" and not self._may_read(response):
            raise Blocked(f"{_origin(self.url)} may not read the answer of {url}")
        return response

    async def embed(
        self, target: str, *, destination: str = "image", method: str = "GET", form: dict[str, str] | None = None
    ) -> httpx.Response:
        """What a page causes without reading it: an image, a script, a frame, a ``no-cors`` request.

        The answer is returned for the test's eyes; the page would see at most that something loaded.
        """
        headers = {} if form is None else {"content-type": "application/x-www-form-urlencoded"}
        mode = "navigate" if destination in {"iframe", "object"} else "no-cors"
        body = b"" if form is None else urlencode(form).encode()
        return await self._subresource(method, urljoin(self.url, target), mode, destination, headers, body)

    async def _subresource(
        self, method: str, url: str, mode: str, destination: str, own: dict[str, str], body: bytes
    ) -> httpx.Response:
        relation = _relation(self.url, url)
        sent = {
            "Accept": "*/*",
            "Sec-Fetch-Mode": mode,
            "Sec-Fetch-Dest": destination,
            "Sec-Fetch-Site": relation,
            **own,
        }
        if method not in {"GET", "HEAD"} or (relation != "same-origin" and mode == "cors"):
            sent["Origin"] = _origin(self.url)
        return await self.browser.send(
            method, url, headers=sent, body=body, cross_site=not _same_site(self.url, url), navigation=False
        )

    async def _preflight(self, method: str, url: str, own: dict[str, str]) -> None:
        asked = {"Origin": _origin(self.url), "Access-Control-Request-Method": method, "Sec-Fetch-Mode": "cors"}
        asked |= {"Access-Control-Request-Headers": ",".join(sorted(own)), "Sec-Fetch-Site": _relation(self.url, url)}
        request = httpx.Request("OPTIONS", url, headers=asked)
        response = await self.browser.internet.handle_async_request(request)
        if not self._may_read(response):
            raise Blocked(f"the preflight of {method} {url} was not granted")

    def _may_read(self, response: httpx.Response) -> bool:
        return response.headers.get("access-control-allow-origin") in {_origin(self.url), "*"}

    async def api(
        self, target: str, *, method: str = "GET", json: Any = None, tag: str | None = None
    ) -> httpx.Response:
        """What ``bff.js`` does: the anti-forgery header, and the session's tag where the page knows it."""
        headers = {"X-CSRF": "1"} | ({"X-BFF-Session": tag} if tag else {})
        return await self.fetch(target, method=method, headers=headers, json=json)


def _needs_preflight(method: str, headers: dict[str, str]) -> bool:
    kind = headers.get("content-type", "text/plain").partition(";")[0]
    return method not in SIMPLE_METHODS or bool(headers.keys() - SIMPLE_HEADERS) or kind not in SIMPLE_TYPES


def _origin(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc}"


def _same_site(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.hostname) == (b.scheme, b.hostname)


def _relation(one: str, other: str) -> str:
    if _origin(one) == _origin(other):
        return "same-origin"
    return "same-site" if _same_site(one, other) else "cross-site"


def _worse(one: str, other: str) -> str:
    order = ["same-origin", "same-site", "cross-site"]
    return max(one, other, key=order.index)


def _trustworthy(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1"}


def _path_matches(path: str, prefix: str) -> bool:
    return path == prefix or (path.startswith(prefix) and (prefix.endswith("/") or path[len(prefix)] == "/"))
