"""Two tabs cannot overwrite each other: entity tags, and changes that are meant for one version (RFC 9110 13)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.resource_api.conftest import bearing
from tests.world.tokens import BOB, access_token

LIST = "/api/todolist"
ONE = f"{LIST}/1"
FAILED = (412, "application/problem+json", "urn:resource-api:problem:precondition-failed")


def mine(**conditions: str) -> dict[str, str]:
    """Alice's token, and conditions by their names with an underscore."""
    return bearing(access_token()) | {name.replace("_", "-"): value for name, value in conditions.items()}


async def add(api: httpx.AsyncClient, description: str = "Water plants") -> httpx.Response:
    """A to-do of Alice's."""
    return await api.post(LIST, json={"description": description}, headers=mine())


async def change(api: httpx.AsyncClient, method: str, headers: dict[str, str]) -> httpx.Response:
    """PUT or DELETE the first to-do."""
    body: dict[str, Any] = {"json": {"description": "changed"}} if method == "PUT" else {}
    return await api.request(method, ONE, headers=headers, **body)


def outcome(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, media type and problem type."""
    return answer.status_code, answer.headers["Content-Type"], answer.json()["type"]


async def test_a_todo_has_a_strong_tag(api: httpx.AsyncClient) -> None:
    """Whoever adds, reads or changes a to-do is told its tag, a new one after each change; its body has no version."""
    added = await add(api)
    assert added.headers["ETag"] == (await api.get(ONE, headers=mine())).headers["ETag"] == '"1"'
    changed = await change(api, "PUT", mine())
    assert changed.headers["ETag"] == (await api.get(ONE, headers=mine())).headers["ETag"] == '"2"'
    assert changed.json().keys() == {"id", "owner", "description"}
    again = await change(
        api, "PUT", mine()
    )  # the same words once more are a change too: somebody else saw the one before
    assert again.headers["ETag"] == '"3"'


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({}, 200),
        ({"If_Match": '"2"'}, 200),
        ({"If_Match": '"7", "2"'}, 200),
        ({"If_Match": '"a,b" ,, "2",'}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": '"1"'}, 412),
        ({"If_Match": '"3"'}, 412),
        ({"If_Match": 'W/"2"'}, 412),
        ({"If_Match": '""'}, 412),
        ({"If_Match": '"02"'}, 412),
        ({"If_Match": '"٢"'.encode().decode("latin-1")}, 400),
        ({"If_Match": '"9999999999999999999"'}, 412),
        ({"If_Match": '"abc"'}, 412),
        ({"If_None_Match": '"1"'}, 200),
        ({"If_None_Match": '"abc"'}, 200),
        ({"If_None_Match": '"2"'}, 412),
        ({"If_None_Match": 'W/"2"'}, 412),
        ({"If_None_Match": "*"}, 412),
        ({"If_Match": '"2"', "If_None_Match": '"1"'}, 200),
        ({"If_Match": '"2"', "If_None_Match": '"2"'}, 412),
        ({"If_Match": "*", "If_None_Match": "*"}, 412),
    ],
)
async def test_a_change_that_is_meant_for_one_version(
    api: httpx.AsyncClient, method: str, conditions: dict[str, str], status: int
) -> None:
    """If-Match compares strongly, If-None-Match weakly; what fails is 412 and changes nothing; absent is allowed."""
    await add(api)
    seen = await change(api, "PUT", mine())
    headers = {name: value.encode("latin-1") for name, value in mine(**conditions).items()}
    answer = await change(api, method, headers)  # type: ignore[arg-type]  # bytes, for what is not ASCII
    assert answer.status_code == status
    if status == 412:
        assert outcome(answer) == FAILED
    if status != 200:
        assert (await api.get(ONE, headers=mine())).headers["ETag"] == seen.headers["ETag"]


@pytest.mark.parametrize("name", ["If_Match", "If_None_Match"])
async def test_a_condition_that_cannot_be_read(api: httpx.AsyncClient, name: str) -> None:
    """It is refused, never ignored: whoever sent it wanted something not to happen."""
    await add(api)
    for value in ("", ",", "2", '"2', '2"', 'w/"2"', "W/2", '"1" "2"', '*, "2"', '"2", *', '"a b"', "**"):
        for method in ("PUT", "DELETE"):
            answer = await change(api, method, mine(**{name: value}))
            assert (answer.status_code, answer.json()["type"]) == (400, "urn:resource-api:problem:malformed-request")
    assert (await api.get(ONE, headers=mine())).json()["description"] == "Water plants"


async def test_one_condition_in_two_fields(api: httpx.AsyncClient) -> None:
    """A list that was sent in two fields is one list (RFC 9110 5.3)."""
    await add(api)
    fields = [*mine().items(), ("If-Match", '"7"'), ("If-Match", '"1"')]
    assert (await api.put(ONE, json={"description": "x"}, headers=fields)).status_code == 200
    assert (await api.put(ONE, json={"description": "x"}, headers=fields)).status_code == 412


@pytest.mark.timeout(5)
@pytest.mark.parametrize("value", ['"1"' + " " * 20_000 + "x", '"1",' * 5_000 + "x", '"' * 20_000, ", " * 10_000])
async def test_a_condition_is_read_in_one_pass(api: httpx.AsyncClient, value: str) -> None:
    """However a condition is written, reading it takes no longer than its length."""
    await add(api)
    assert (await change(api, "PUT", mine(If_Match=value))).status_code == 400


@pytest.mark.req("A-09")
@pytest.mark.parametrize(
    "conditions", [{"If_Match": '"1"'}, {"If_Match": "*"}, {"If_None_Match": "*"}, {"If_Match": '"9"'}]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_condition_tells_nobody_what_exists(
    api: httpx.AsyncClient, method: str, conditions: dict[str, str]
) -> None:
    """Another person's to-do and one that is not there are the same 404, whatever was asked of the version."""
    await add(api)
    headers = mine(**conditions) | bearing(access_token(oid=BOB))
    theirs = await change(api, method, headers)
    absent = await api.request(method, f"{LIST}/2", headers=headers, json={"description": "x"})
    for answer in (theirs, absent):
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:resource-api:problem:unknown-todo")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_it_already_is_told_so(api: httpx.AsyncClient, method: str) -> None:
    """A reader who names the current tag gets 304 without content, with the tag and never to be stored."""
    await add(api)
    for value in ('"1"', 'W/"1"', '"9", "1"', "*"):
        answer = await api.request(method, ONE, headers=mine(If_None_Match=value))
        assert (answer.status_code, answer.content) == (304, b"")
        assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == ('"1"', "no-store")
    for value, status in (('"2"', 200), ('"abc"', 200), ("1", 400)):
        assert (await api.request(method, ONE, headers=mine(If_None_Match=value))).status_code == status


async def test_a_page_has_a_tag_too(api: httpx.AsyncClient) -> None:
    """The list is 304 until anything that it shows has changed, its way to the next page included."""
    await add(api)
    url = f"{LIST}?limit=1"
    tag = (await api.get(url, headers=mine())).headers["ETag"]
    assert (await api.get(url, headers=mine(If_None_Match=tag))).status_code == 304
    await add(api)  # not on this page, which has a next one now
    newer = await api.get(url, headers=mine(If_None_Match=tag))
    assert (newer.status_code, "Link" in newer.headers) == (200, True)
    await change(api, "PUT", mine())
    assert (await api.get(url, headers=mine(If_None_Match=newer.headers["ETag"]))).status_code == 200
    assert (
        await api.get(url, headers=mine(If_None_Match=newer.headers["ETag"]) | bearing(access_token(oid=BOB)))
    ).json() == []


async def test_of_two_tabs_one_is_told(api: httpx.AsyncClient) -> None:
    """Of many who save at once what they read at the same version, one is answered 200, the others 412."""
    tag = (await add(api)).headers["ETag"]
    answers = await asyncio.gather(*(change(api, "PUT", mine(If_Match=tag)) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [200, *[412] * 5]


async def test_values_are_judged_first(api: httpx.AsyncClient) -> None:
    """A body that is refused anyway is refused for itself (RFC 9110 13.2.1)."""
    await add(api)
    answer = await api.put(ONE, json={"description": ""}, headers=mine(If_Match='"9"'))
    assert answer.status_code == 422
