"""The to-do list as the seed's clients know it, with limits that the seed did not have."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from resource_api.app import create_app
from tests.resource_api.conftest import bearing, caller, settings_with
from tests.world.key_host import KeyHost
from tests.world.tokens import ALICE, BOB, access_token

LIST = "/api/todolist"
JSON = {"Content-Type": "application/json"}


async def add(api: httpx.AsyncClient, description: str = "Water plants") -> dict[str, Any]:
    """A to-do of Alice's."""
    answer = await api.post(LIST, json={"description": description}, headers=bearing(access_token()))
    added: dict[str, Any] = answer.json()
    return added


@pytest.mark.req("A-01", "A-02", "A-03", "A-04", "A-05", "A-15", "A-16", "X-09")
async def test_the_life_of_a_todo(api: httpx.AsyncClient) -> None:
    """Added, found under its Location, changed, listed, removed: with the seed's statuses and members."""
    headers = bearing(access_token())
    assert (await api.get(LIST, headers=headers)).json() == []
    added = await api.post(LIST, json={"description": "Water plants"}, headers=headers)
    assert (added.status_code, added.json()) == (201, {"id": 1, "owner": ALICE, "description": "Water plants"})
    assert added.headers["Location"] == "/api/todolist/1"
    assert (await api.get(added.headers["Location"], headers=headers)).json() == added.json()
    changed = await api.put(f"{LIST}/1", json={"description": "Done", "owner": BOB, "id": 9}, headers=headers)
    assert (changed.status_code, changed.json()) == (200, {"id": 1, "owner": ALICE, "description": "Done"})
    assert (await api.get(LIST, headers=headers)).json() == [changed.json()]
    removed = await api.delete(f"{LIST}/1", headers=headers)
    assert (removed.status_code, removed.content) == (200, b"")
    assert (await api.get(f"{LIST}/1", headers=headers)).status_code == 404


@pytest.mark.req("A-15")
async def test_an_id_is_never_given_twice(api: httpx.AsyncClient) -> None:
    """The id of a removed to-do names no other one later."""
    first = await add(api)
    await api.delete(f"{LIST}/{first['id']}", headers=bearing(access_token()))
    assert (await add(api))["id"] > first["id"]


@pytest.mark.req("A-18")
async def test_unknown_members_are_ignored(api: httpx.AsyncClient) -> None:
    """Members that this API does not know change nothing, as in the seed."""
    body = {"description": "x", "done": True, "id": 77}
    answer = await api.post(LIST, json=body, headers=bearing(access_token()))
    assert answer.json() == {"id": 1, "owner": ALICE, "description": "x"}


@pytest.mark.req("A-17")
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "description",
    ["", " ", "\t", "a\nb", "a\x00b", "\x7f", "\x85", "x" * 501, None, 7, True, [], {}, ["x"], "\ud800"],
)
async def test_a_description_has_limits(api: httpx.AsyncClient, method: str, description: object) -> None:
    """Empty, blank, too long, with control characters or of another type: a problem, and nothing is stored."""
    await add(api, "kept")
    path = LIST if method == "POST" else f"{LIST}/1"
    content = json.dumps({"description": description}).encode()
    answer = await api.request(method, path, content=content, headers=JSON | bearing(access_token()))
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert answer.json()["fields"].keys() == {"description"}
    assert [one["description"] for one in (await api.get(LIST, headers=bearing(access_token()))).json()] == ["kept"]


@pytest.mark.req("A-17")
@pytest.mark.parametrize(("sent", "kept"), [("x" * 500, "x" * 500), ("  Tee  ", "Tee"), ("茶を飲む 🍵", "茶を飲む 🍵")])
async def test_what_a_description_may_be(api: httpx.AsyncClient, sent: str, kept: str) -> None:
    """Up to 500 characters of any script, kept without the spaces around them."""
    assert (await add(api, sent))["description"] == kept


@pytest.mark.req("A-10")
@pytest.mark.parametrize(
    "body", [b"", b"{", b"nul", b'{"description": "x"', b"\xff\xfe", b"[" * 5000, b'{"description": "\xff"}']
)
async def test_a_body_that_cannot_be_read(api: httpx.AsyncClient, body: bytes) -> None:
    """No body, or one that is no JSON, is 400."""
    answer = await api.post(LIST, content=body, headers=JSON | bearing(access_token()))
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:resource-api:problem:malformed-request")


@pytest.mark.req("A-10")
@pytest.mark.parametrize("body", [[], [{}], "x", 1, None])
async def test_a_body_that_is_no_object(api: httpx.AsyncClient, body: object) -> None:
    """JSON that is no object is refused as a value, 400 or 422."""
    answer = await api.post(LIST, content=json.dumps(body), headers=JSON | bearing(access_token()))
    assert answer.status_code in {400, 422}


@pytest.mark.req("A-10")
@pytest.mark.parametrize(
    "todo_id",
    ["abc", "0", "-1", "1.5", "1e3", "01", "+1", "1_0", "1.0", "9223372036854775808", "9" * 400, "%00", "1%20", "٣x"],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_foreign_id(api: httpx.AsyncClient, method: str, todo_id: str) -> None:
    """An id that no to-do can have is a 400, never a failure of ours."""
    body: dict[str, Any] = {"json": {"description": "x"}} if method == "PUT" else {}
    answer = await api.request(method, f"{LIST}/{todo_id}", headers=bearing(access_token()), **body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:resource-api:problem:malformed-request")


@pytest.mark.req("A-11")
@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", None]
)
async def test_another_media_type(api: httpx.AsyncClient, media_type: str | None) -> None:
    """A body that does not say it is JSON is 415, so that no form of another site can post one."""
    headers = bearing(access_token()) | ({"Content-Type": media_type} if media_type else {})
    answer = await api.post(LIST, content=b'{"description": "x"}', headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:resource-api:problem:unsupported-media-type")


@pytest.mark.req("A-11")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", f"{LIST}/1", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("DELETE", LIST, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/livez", "GET, HEAD, OPTIONS"),
    ],
)
async def test_another_method(api: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    """405 names every method that the path takes (RFC 9110 15.5.6)."""
    answer = await api.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


async def test_options_says_what_a_path_takes(api: httpx.AsyncClient) -> None:
    """OPTIONS is answered with Allow and grants no origin anything (A-42 is not repeated)."""
    answer = await api.options(
        LIST, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert (answer.status_code, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_head_is_get_without_content(api: httpx.AsyncClient) -> None:
    """HEAD has GET's status and length, no content, and the same need for a token (RFC 9110 9.3.2)."""
    headers = bearing(access_token())
    await add(api)
    seen, head = await api.get(LIST, headers=headers), await api.head(LIST, headers=headers)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(seen.content)), b"")
    assert (await api.head(LIST)).status_code == 401


@pytest.mark.parametrize("path", [f"{LIST}/", "/API/todolist", "//api/todolist", "/"])
async def test_no_path_is_redirected(api: httpx.AsyncClient, path: str) -> None:
    """One resource has one path; another spelling is 404, never a redirect that would turn a POST into a GET."""
    answer = await api.post(path, json={"description": "x"}, headers=bearing(access_token()))
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:resource-api:problem:unknown-path")


async def test_a_body_has_a_size(api: httpx.AsyncClient) -> None:
    """More than 16 KB is 413, and its declared length is not believed."""
    for content in (b" " * 17_000, _chunks()):
        answer = await api.post(LIST, content=content, headers=JSON | bearing(access_token()))
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:resource-api:problem:request-too-large")


async def _chunks() -> Any:
    for _ in range(20):
        yield b" " * 1000


@pytest.mark.req("A-30", "RS-3")
@pytest.mark.parametrize("content", [b"{", b" " * 17_000, b""])
async def test_who_may_not_call_is_not_read(api: httpx.AsyncClient, content: bytes) -> None:
    """Without a token the answer is 401, whatever the body is; without the scope it is 403."""
    assert (await api.post(LIST, content=content, headers=JSON)).status_code == 401
    headers = JSON | bearing(access_token(scp="ToDoList.Read"))
    assert (await api.post(LIST, content=content, headers=headers)).status_code == 403


async def test_answers_are_never_stored(api: httpx.AsyncClient) -> None:
    """Every answer, refusals included, says no-store and forbids sniffing."""
    token = bearing(access_token())
    answers = [
        await api.get(LIST, headers=token),
        await api.get(LIST),
        await api.post(LIST, json={"description": "x"}, headers=token),
        await api.get("/nope"),
        await api.get("/openapi.json"),
    ]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}


@pytest.mark.req("A-40")
async def test_todos_outlive_the_process(tmp_path: Path, key_host: KeyHost) -> None:
    """What was acknowledged is there after a restart, and ids go on."""
    settings = settings_with(tmp_path)
    for expected in (1, 2):
        app = create_app(settings, transport=key_host.transport)
        async with app.router.lifespan_context(app), caller(app) as api:
            assert (await add(api))["id"] == expected


async def test_a_store_that_fails_is_an_outage(app: FastAPI, tmp_path: Path) -> None:
    """A database that breaks is 503 with Retry-After for every operation; the store's words stay inside."""
    async with app.router.lifespan_context(app), caller(app) as api:
        with sqlite3.connect(tmp_path / "todos.sqlite") as database:
            database.execute("DROP TABLE todos")
        database.close()
        headers = bearing(access_token())
        answers = [
            await api.get(LIST, headers=headers),
            await api.post(LIST, json={"description": "x"}, headers=headers),
            await api.put(f"{LIST}/1", json={"description": "x"}, headers=headers),
            await api.delete(f"{LIST}/1", headers=headers),
            await api.get("/readyz"),
        ]
        assert {(one.status_code, one.headers["Retry-After"], one.json()["type"]) for one in answers} == {
            (503, "5", "urn:resource-api:problem:store-unavailable")
        }
        assert "sqlite" not in "".join(one.text for one in answers).lower()


async def test_alive_is_not_ready(api: httpx.AsyncClient, key_host: KeyHost) -> None:
    """A process whose issuer cannot be reached is alive and not ready."""
    assert (await api.get("/readyz")).status_code == 200
    assert (await api.get("/livez")).text == "ok"


async def test_not_ready_without_keys(app: FastAPI, key_host: KeyHost) -> None:
    """Readiness says 503 while no key was ever fetched."""
    key_host.misbehave = "down"
    async with app.router.lifespan_context(app), caller(app) as api:
        answer = await api.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:resource-api:problem:keys-unavailable")
        assert (await api.get("/livez")).status_code == 200
