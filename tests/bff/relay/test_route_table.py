"""What is permitted, and what stops the start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bff.errors import ConfigurationError, MalformedRequest, MethodNotAllowed, UnknownRoute
from bff.relay.route import UpstreamAddress
from bff.relay.route_table import Route, RouteTable

API = "http://localhost:3001"


def route(path: str = "/api/", **overrides: Any) -> Route:
    """Return a route that can work, with overrides."""
    return Route(**{"path": path, "upstream": API, **overrides})


@pytest.mark.req("BBA-12", "BBA-15", "C8")
def test_the_longest_path_wins() -> None:
    """A deeper route takes its calls from a shallower one; an exact path takes itself alone."""
    shallow, deep, exact = route("/api/"), route("/api/admin/"), route("/api/me")
    table = RouteTable([shallow, exact, deep])
    assert table.match(b"/api/x/y/z", "GET")[0] is shallow
    assert table.match(b"/api/admin/x", "GET")[0] is deep
    assert table.match(b"/api/admin", "GET")[0] is shallow
    assert table.match(b"/api/me", "GET")[0] is exact
    assert table.match(b"/api/me/x", "GET")[0] is shallow


@pytest.mark.req("BBA-14")
def test_a_method_is_asked_of_the_longest_path_alone() -> None:
    """What a deeper route does not list is never relayed by a shallower one."""
    table = RouteTable([route("/api/"), route("/api/admin/", methods=frozenset({"GET"}))])
    with pytest.raises(MethodNotAllowed) as refused:
        table.match(b"/api/admin/x", "DELETE")
    assert refused.value.allowed == {"GET", "HEAD"}


@pytest.mark.req("BBA-14")
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "get", "PROPFIND", ""])
def test_no_other_method_is_ever_relayed(method: str) -> None:
    """TRACE, CONNECT and unknown methods are refused, and so is another spelling of a known one."""
    with pytest.raises(MethodNotAllowed):
        RouteTable([route()]).match(b"/api/x", method)


def test_head_is_answered_where_get_is() -> None:
    """HEAD needs no mention; where GET is not permitted, neither is HEAD."""
    table = RouteTable([route(methods=frozenset({"GET"})), route("/hook", methods=frozenset({"POST"}))])
    assert table.match(b"/api/x", "HEAD")[0].path == "/api/"
    assert table.methods_of(b"/hook") == {"POST"}


def test_one_path_may_have_a_policy_for_each_method() -> None:
    """Two routes share a path as long as they share no method; HEAD goes with GET, or its own declaration."""
    reading, writing = route(methods=frozenset({"GET"}), token="none"), route(methods=frozenset({"POST", "HEAD"}))
    for table in (RouteTable([reading, writing]), RouteTable([writing, reading])):
        assert table.match(b"/api/x", "GET")[0] is reading
        assert table.match(b"/api/x", "POST")[0] is writing
        assert table.match(b"/api/x", "HEAD")[0] is writing


@pytest.mark.req("BBA-15", "ATK-31")
@pytest.mark.parametrize("path", [b"/api", b"/", b"/other/x", b"/API/x", b"/ap", b"/api%2Fx"])
def test_what_no_route_names_is_unknown(path: bytes) -> None:
    """No default, no fallback, no folding of case."""
    with pytest.raises(UnknownRoute):
        RouteTable([route()]).match(path, "GET")


@pytest.mark.req("F37")
@pytest.mark.parametrize("path", [b"/api", b"/api/", b"/api/x", b"/api/../bff/login", b"/api//x", b"/api/%2e%2e/"])
def test_the_relay_owns_its_first_segment_whole(path: bytes) -> None:
    """A malformed path below a route is the relay's to refuse: no other router gets to read it differently."""
    assert RouteTable([route()]).owns(path)


@pytest.mark.parametrize("path", [b"/", b"/bff/login", b"//api/x", b"/apix", b"/%61pi/x", b"/API/x", b""])
def test_the_relay_owns_nothing_else(path: bytes) -> None:
    """Pages and management endpoints are not the relay's."""
    assert not RouteTable([route()]).owns(path)


@pytest.mark.parametrize(
    ("upstream", "target"),
    [(API, b"/api/x"), (API + "/", b"/api/x"), (API + "/v1", b"/v1/api/x"), (API + "/v1/", b"/v1/api/x")],
)
def test_the_upstream_is_asked_below_its_own_prefix(upstream: str, target: bytes) -> None:
    """The target is the upstream's prefix and then the whole path."""
    assert RouteTable([route(upstream=upstream)]).match(b"/api/x", "GET")[1] == target


@pytest.mark.req("F37", "ATK-31")
def test_an_encoded_slash_is_a_routes_own_choice() -> None:
    """It passes on the route that admits it, for the methods of that route, and for no other."""
    files = route("/files/", encoded_slash=True, methods=frozenset({"GET"}))
    table = RouteTable([files, route("/files/", methods=frozenset({"POST"})), route()])
    path = b"/files/a%2Fb"
    assert table.path_of(path, "GET") is path
    assert table.match(path, "GET") == (files, path)
    for refused, method in ((path, "POST"), (b"/api/a%2Fb", "GET"), (b"/other/a%2Fb", "GET"), (b"/files/%5C", "GET")):
        with pytest.raises(MalformedRequest):
            table.path_of(refused, method)


@pytest.mark.req("F37", "ATK-31", "BBA-15")
@pytest.mark.parametrize(
    "path", [b"/files/private%2Fx", b"/files/private%2fx", b"/files/a%2Fb/x", b"/files/secret%2Fone"]
)
def test_an_encoded_slash_leads_around_no_deeper_route(path: bytes) -> None:
    """What an upstream that decodes would take for the path of another route is refused."""
    table = RouteTable(
        [
            route("/files/", encoded_slash=True),
            route("/files/private/", methods=frozenset({"GET"})),
            route("/files/a/b/", encoded_slash=True),
            route("/files/secret/one", encoded_slash=True),
        ]
    )
    with pytest.raises(MalformedRequest):
        table.path_of(path, "GET")


@pytest.mark.req("F37")
def test_a_websocket_may_have_an_encoded_slash_too() -> None:
    """The door asks for the same path as the relay."""
    table = RouteTable([route("/live/", websocket=True, encoded_slash=True), route(websocket=True)])
    assert table.takes_websockets(b"/live/a%2Fb")
    assert not table.takes_websockets(b"/api/a%2Fb")


FAULTS: dict[str, dict[str, Any]] = {
    "no such path": {"path": "/api/../x/"},
    "an encoded plain character": {"path": "/%61pi/"},
    "no slash": {"path": "api/"},
    "not ASCII": {"path": "/é/"},
    "everything": {"path": "/"},
    "the BFF's own": {"path": "/bff/"},
    "the documentation": {"path": "/docs/x"},
    "a probe": {"path": "/livez"},
    "an address of another scheme": {"upstream": "ftp://localhost"},
    "no host": {"upstream": "http:///x"},
    "credentials in the address": {"upstream": "http://user:secret@localhost"},
    "a query in the address": {"upstream": API + "/?x"},
    "an ambiguous prefix": {"upstream": API + "/a/../b"},
    "no port": {"upstream": "http://localhost:99999"},
    "a port of zero": {"upstream": "http://localhost:0"},
    "a host with a line break": {"upstream": "http://local\nhost"},
    "no method": {"methods": frozenset()},
    "a method of ours": {"methods": frozenset({"OPTIONS"})},
    "a tunnel": {"methods": frozenset({"CONNECT"})},
    "a scope for no token": {"token": "none", "scope": "todo.read"},
    "a visitor with a user's token": {"anonymous": True},
    "app roles for everybody": {"token": "client", "anonymous": True, "scope": "api://x/.default"},
    "app roles for everybody, by default": {
        "token": "user_or_client",
        "anonymous": True,
        "methods": frozenset({"POST"}),
    },
    "an unknown token": {"token": "any"},
    "an unknown kind": {"antiforgery": "none"},
    "another place's kind": {"antiforgery": "unauthenticated"},
    "writing without the header": {"antiforgery": "fetch-metadata", "methods": frozenset({"GET", "POST"})},
    "a header never sent on": {"request_headers": frozenset({"cookie"})},
    "a forwarding header": {"request_headers": frozenset({"x-forwarded-user"})},
    "its twin": {"request_headers": frozenset({"x_forwarded_user"})},
    "a method override": {"request_headers": frozenset({"x-http-method-override"})},
    "a header in capitals": {"request_headers": frozenset({"X-Tenant"})},
    "no header name": {"request_headers": frozenset({"x tenant"})},
    "a cookie coming back": {"response_headers": frozenset({"set-cookie"})},
    "CORS coming back": {"response_headers": frozenset({"access-control-allow-origin"})},
    "a server's order": {"response_headers": frozenset({"x-accel-redirect"})},
    "unknown redirects": {"redirects": "follow"},
    "no time": {"timeout": 0.0},
    "time that is none": {"timeout": float("nan")},
    "a negative body": {"max_body": -1},
    "a stream that may say nothing for no time": {"stream_idle": 0.0},
    "a WebSocket that nothing opens": {"websocket": True, "methods": frozenset({"POST"})},
    "sub-protocols without a WebSocket": {"subprotocols": ("chat",)},
    "a sub-protocol that is none": {"websocket": True, "subprotocols": ("chat room",)},
    "no message at all": {"websocket": True, "max_message": 0},
    "a certificate that is not there": {"ca_file": Path("/nonexistent/ca.pem")},
    "a certificate that is none": {"ca_file": Path(__file__)},
}


@pytest.mark.req("BBA-12", "BBA-14", "BBA-15", "ATK-66", "F16")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_route_that_cannot_work_stops_the_start(fault: dict[str, Any]) -> None:
    """Each fault has one cause, which names the route and the cure."""
    with pytest.raises(ConfigurationError) as refused:
        RouteTable([route(**fault)])
    assert len(refused.value.causes) == 1
    assert refused.value.causes[0].startswith(f"route {fault.get('path', '/api/')}: ")
    assert "Cure:" in refused.value.causes[0]
    assert "secret" not in str(refused.value)


def test_a_method_declared_twice_stops_the_start() -> None:
    """Of two routes for one path and method, one is unreachable: neither is guessed."""
    with pytest.raises(ConfigurationError, match="GET is declared twice"):
        RouteTable([route(), route(methods=frozenset({"GET"}), token="none")])


def test_all_causes_are_named_at_once() -> None:
    """A table with several faults is refused once, with all of them."""
    with pytest.raises(ConfigurationError) as refused:
        RouteTable([route(path="/bff/", upstream="x", anonymous=True), route(), route(timeout=-1.0)])
    assert len(refused.value.causes) == 3 + 1 + len(route().methods)


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("http://localhost:3001", "localhost", 3001, b"localhost:3001"),
        ("https://API.example", "api.example", 443, b"api.example"),
        ("https://api.example:443/x/", "api.example", 443, b"api.example"),
        ("http://[::1]:8080", "[::1]", 8080, b"[::1]:8080"),
    ],
)
def test_an_upstreams_address_is_read_once(url: str, host: str, port: int, authority: bytes) -> None:
    """Host, port and the value of Host come from the settings and from nothing else."""
    address = UpstreamAddress.parse(url)
    assert (address.host, address.port, address.authority) == (host, port, authority)


def test_looking_up_costs_the_same_with_many_routes() -> None:
    """Five hundred routes, or a path of ten thousand segments, cost no more than a few dictionary reads."""

    def seconds(table: RouteTable, path: bytes) -> float:
        began = time.perf_counter()
        for _ in range(2000):
            table.match(path, "GET")
        return time.perf_counter() - began

    few, many = RouteTable([route()]), RouteTable([route(), *[route(f"/api/x{n}/") for n in range(500)]])
    assert seconds(many, b"/api/todolist/7") < 10 * seconds(few, b"/api/todolist/7") + 0.05
    assert seconds(many, b"/api" + b"/a" * 10_000) < 10 * seconds(few, b"/api/todolist/7") + 0.05
