"""Sign in over real HTTP as a browser would: redirects, cookies by host and port, and the form of the sign-in page."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx

_HOPS = 15
_REDIRECTS = frozenset({301, 302, 303, 307})


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = values.get("action", "")
        elif tag == "input" and values.get("type") not in {"submit", "button"} and "name" in values:
            self.fields[values["name"]] = values.get("value", "")


class Person:
    """Somebody at a browser. Cookies are kept by host and port; Secure is not asked for: all of this is loopback."""

    def __init__(self, email: str, password: str) -> None:
        self._email, self._password = email, password
        self._jars: dict[str, dict[str, str]] = {}

    def sign_in(self, url: str) -> None:
        """Open a page that wants a sign-in, fill in the form, and come back."""
        with httpx.Client(trust_env=False, timeout=10) as http:
            response = self._follow(http, "GET", url)
            form = _Form()
            form.feed(response.text)
            if form.action is None:
                raise RuntimeError(f"no sign-in page at {response.url}: {response.status_code} {response.text[:300]}")
            filled = {**form.fields, "email": self._email, "password": self._password}
            self._follow(http, "POST", urljoin(str(response.url), form.action), filled)

    def cookie(self, url: str) -> str:
        """The Cookie header for this address."""
        jar = self._jars.get(urlsplit(url).netloc, {})
        return "; ".join(f"{name}={value}" for name, value in jar.items())

    def _follow(self, http: httpx.Client, method: str, url: str, form: dict[str, str] | None = None) -> httpx.Response:
        came_from = "none"
        for _ in range(_HOPS):
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
            headers = {"cookie": self.cookie(url), "sec-fetch-site": came_from, "sec-fetch-mode": "navigate"}
            headers |= {"sec-fetch-dest": "document", "accept": "text/html"}
            headers |= {"origin": origin, "sec-fetch-site": "same-origin"} if form else {}
            response = http.request(method, url, headers=headers, data=form)
            self._keep(url, response)
            if response.status_code not in _REDIRECTS:
                return response
            method, form = "GET", None
            url, came_from = urljoin(url, response.headers["location"]), "cross-site"
        raise RuntimeError(f"redirects without end, last to {url}")

    def _keep(self, url: str, response: httpx.Response) -> None:
        jar = self._jars.setdefault(urlsplit(url).netloc, {})
        for line in response.headers.get_list("set-cookie"):
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower().replace(" ", "") or not value or "1970" in attributes:
                jar.pop(name.strip(), None)
            else:
                jar[name.strip()] = value.strip()
