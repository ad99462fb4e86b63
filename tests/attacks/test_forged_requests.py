"""Requests that lie: about the host, the client, the method, the connection, the person, the target."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.browser import Tab
from tests.world.house import API_ORIGIN, House, problem_of

PAGE = (("x-csrf", "1"), ("sec-fetch-site", "same-origin"))


async def signed_in(house: House) -> Tab:
    """A tab of a signed-in browser."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    return tab


def seen_by_the_api(house: House) -> list[dict[str, list[str]]]:
    """The headers of each relayed call."""
    calls = [one for one in house.internet.to(API_ORIGIN) if one.sent("authorization")]
    return [
        {
            name.decode().lower(): [value.decode("latin-1") for value in one.sent(name.decode().lower())]
            for name, _ in one.request_headers
        }
        for one in calls
    ]


@pytest.mark.req("ATK-38")
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost:3001", "localhost", "127.0.0.1:3000", "LOCALHOST:3000", ""]
)
@pytest.mark.parametrize("path", ["/", "/bff/login", "/bff/user", "/api/todolist", "/bff/callback"])
async def test_another_host_is_misdirected(house: House, host: str, path: str) -> None:
    """421, whatever is asked for: no redirect, cookie or link is ever made from ``Host``."""
    answer = await house.sends(path, ("host", host), *PAGE)
    assert (answer.status_code, problem_of(answer)) == (421, "misdirected-request")
    assert "set-cookie" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.req("ATK-36", "ATK-38")
async def test_forwarding_headers_of_the_browser_decide_nothing(house: House) -> None:
    """Redirect URI, flags and what the API is told come from the settings and the socket."""
    lies = [("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "ftp"), ("x-forwarded-for", "6.6.6.6")]
    lies += [("forwarded", "host=evil.example;for=6.6.6.6"), ("x-forwarded-uri", "/admin"), ("x-real-ip", "6.6.6.6")]
    answer = await house.sends("/bff/login", *lies)
    assert "evil" not in str(answer.headers)
    tab = await signed_in(house)
    await house.sends("/api/todolist", *lies, *PAGE, house.cookie_header(tab.browser))
    [seen] = seen_by_the_api(house)
    assert seen["x-forwarded-host"] == ["localhost:3000"]
    assert seen["x-forwarded-proto"] == ["http"]
    assert seen["x-forwarded-for"] == ["127.0.0.1"]
    assert not {"forwarded", "x-forwarded-uri", "x-real-ip"} & seen.keys()


@pytest.mark.req("BBA-16", "ATK-35", "ATK-27")
async def test_only_allowed_headers_cross(house: House) -> None:
    """Cookie, Authorization, method overrides and identities of the browser's making stay here."""
    tab = await signed_in(house)
    lies = [
        ("authorization", "Bearer evil"),
        ("x-http-method-override", "DELETE"),
        ("x-user", "root"),
        ("x_forwarded_user", "root"),
        ("x-forwarded-user", "root"),
        ("remote-user", "root"),
        ("client-cert", "root"),
        ("proxy-authorization", "Basic x"),
        ("referer", "http://localhost:3000/secret"),
        ("accept", "application/json"),
    ]
    answer = await house.sends("/api/todolist", *lies, *PAGE, house.cookie_header(tab.browser))
    assert answer.status_code == 200
    [seen] = seen_by_the_api(house)
    assert seen.keys() <= {
        "host", "accept", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "traceparent", "authorization",
        "connection",
    }  # fmt: skip
    token = (await house.session(tab.browser)).tokens.access_token
    assert seen["authorization"] == [f"Bearer {token}"]


@pytest.mark.req("ATK-34")
@pytest.mark.parametrize("nominated", ["authorization", "x-forwarded-for", "cookie", "X-Csrf", "Authorization, close"])
async def test_connection_cannot_take_away_what_protects(house: House, nominated: str) -> None:
    """A client that nominates a security header as its connection's own is malformed, and nothing is sent on."""
    tab = await signed_in(house)
    answer = await house.sends("/api/todolist", ("connection", nominated), *PAGE, house.cookie_header(tab.browser))
    assert (answer.status_code, problem_of(answer)) == (400, "malformed-request")
    assert seen_by_the_api(house) == []


@pytest.mark.req("ATK-65", "BBA-14")
@pytest.mark.parametrize(
    "lie",
    [
        ("user-agent", "kube-probe/1.30"),
        ("x-original-url", "/livez"),
        ("x-rewrite-url", "/livez"),
        ("accept", "text/css"),
        ("upgrade-insecure-requests", "1"),
        ("x-requested-with", "XMLHttpRequest"),
        ("x-bff-session", "any"),
        ("authorization", "Basic YWRtaW46YWRtaW4="),
    ],
)
async def test_no_header_of_a_client_opens_a_door(house: House, lie: tuple[str, str]) -> None:
    """No rule depends on what a client says about itself: without a session every call is refused."""
    for method in ("GET", "POST", "HEAD", "PUT"):
        answer = await house.sends("/api/todolist", lie, *PAGE, method=method)
        assert answer.status_code == 401
    for path in ("/api/todolist.css", "/api/todolist/livez", "/api/todolist?/livez"):
        assert (await house.sends(path, lie, *PAGE)).status_code == 401
    assert (await house.sends("/api/todolist", lie, method="OPTIONS")).headers.get("content-length", "0") == "0"
    assert seen_by_the_api(house) == []


@pytest.mark.req("ATK-32", "BBA-12", "BBA-15")
@pytest.mark.parametrize(
    "path",
    [
        "/api/http://evil.example/",
        "/api/todolist?url=http://evil.example/",
        "/api/@evil.example/",
        "/api/evil.example:80",
        "/api/..%2f..%2fevil",
    ],
)
async def test_no_request_chooses_its_upstream(house: House, path: str) -> None:
    """Whatever a path or query says, the only host that is ever asked is the one in the settings."""
    tab = await signed_in(house)
    before = len(house.internet.requests)
    await house.sends(path, *PAGE, house.cookie_header(tab.browser))
    assert {url.partition("/api")[0] for _, url in house.internet.requests[before:]} <= {house.origin, API_ORIGIN}


@pytest.mark.req("ATK-33")
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "http://127.0.0.1:3001.evil.example/"])
async def test_no_redirect_of_the_api_carries_the_token_away(house: House, target: str) -> None:
    """A redirect is never followed; one that leads off this site is not even passed on."""

    async def redirecting(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 302, "headers": [(b"location", target.encode())]})
        await send({"type": "http.response.body", "body": b""})

    tab = await signed_in(house)
    house.internet.put(API_ORIGIN, redirecting)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (502, "upstream-unavailable")
    assert not [url for _, url in house.internet.requests if "evil" in url]
    assert "evil" not in str(answer.headers)


@pytest.mark.req("ATK-27")
async def test_a_method_is_what_the_request_line_says(house: House) -> None:
    """``_method`` and override headers delete nothing."""
    tab = await signed_in(house)
    item = (await tab.api("/api/todolist", method="POST", json={"description": "Stay"})).json()
    override = [(f"x-{name}", "DELETE") for name in ("http-method-override", "http-method", "method-override")]
    cookie = house.cookie_header(tab.browser)
    for path in (f"/api/todolist/{item['id']}?_method=DELETE", f"/api/todolist/{item['id']}"):
        assert (await house.sends(path, *override, *PAGE, cookie)).status_code == 200
    assert len((await tab.api("/api/todolist")).json()) == 1
