"""Who may do what: every cell of the matrix A-30 … A-38."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.resource_api.conftest import bearing
from tests.world import tokens
from tests.world.tokens import ABSENT, ALICE, BOB, access_token, app_token, unsigned

LIST = "/api/todolist"
OPERATIONS = ("list", "get", "post", "put", "delete")
Token = Callable[[], str | None]


def _row(mark: str, token: Token, *expected: int | str) -> list[Any]:
    return [
        pytest.param(token, operation, result, id=f"{mark}-{operation}", marks=pytest.mark.req(mark))
        for operation, result in zip(OPERATIONS, expected, strict=True)
    ]


async def perform(api: httpx.AsyncClient, operation: str, todo_id: int, token: str | None) -> httpx.Response:
    """One operation, on one item where it needs one."""
    headers = bearing(token) if token else {}
    match operation:
        case "list":
            return await api.get(LIST, headers=headers)
        case "get":
            return await api.get(f"{LIST}/{todo_id}", headers=headers)
        case "post":
            return await api.post(LIST, json={"description": "new", "owner": BOB}, headers=headers)
        case "put":
            return await api.put(f"{LIST}/{todo_id}", json={"description": "changed"}, headers=headers)
    return await api.delete(f"{LIST}/{todo_id}", headers=headers)


@pytest.fixture
async def items(api: httpx.AsyncClient) -> dict[str, int]:
    """One to-do of Alice's and one of Bob's, by their owner."""
    made = {}
    for owner in (ALICE, BOB):
        answer = await api.post(LIST, json={"description": "one", "owner": owner}, headers=bearing(app_token()))
        made[owner] = answer.json()["id"]
    return made


MATRIX = [
    *_row("A-30", lambda: None, 401, 401, 401, 401, 401),
    *_row("A-30", lambda: unsigned(tokens.access_claims()), 401, 401, 401, 401, 401),
    *_row("A-31", lambda: access_token(scp="ToDoList.Read"), "own", "own", 403, 403, 403),
    *_row("A-32", lambda: access_token(scp="ToDoList.ReadWrite"), "own", "own", 201, "own", "own"),
    *_row("A-33", lambda: access_token(scp="Mail.Read"), 403, 403, 403, 403, 403),
    *_row("A-34", lambda: app_token(roles=["ToDoList.Read.All"]), "all", "any", 403, 403, 403),
    *_row("A-35", lambda: app_token(roles=["ToDoList.ReadWrite.All"]), "all", "any", 201, "any", "any"),
    *_row("A-36", lambda: app_token(roles=["Files.Read.All"]), 403, 403, 403, 403, 403),
    *_row("A-37", lambda: access_token(scp=ABSENT), 401, 401, 401, 401, 401),
    *_row("A-38", lambda: access_token(scp="openid", roles=["ToDoList.ReadWrite.All"]), 403, 403, 403, 403, 403),
    *_row("A-38", lambda: access_token(scp=ABSENT, roles=["ToDoList.ReadWrite.All"], idtyp="user"), *[403] * 5),
]


@pytest.mark.parametrize(("token", "operation", "result"), MATRIX)
async def test_cell(
    api: httpx.AsyncClient, items: dict[str, int], token: Token, operation: str, result: int | str
) -> None:
    """Each kind of token reaches exactly what its row says; another person's item is 404, never 403."""
    own = await perform(api, operation, items[ALICE], token())
    foreign = await perform(api, operation, items[BOB], token())
    if isinstance(result, int):
        assert (own.status_code, foreign.status_code) == (result, result)
    elif operation == "list":
        owners = {item["owner"] for item in own.json()}
        assert owners == ({ALICE} if result == "own" else {ALICE, BOB})
    else:
        assert (own.status_code, foreign.status_code) == (200, 404 if result == "own" else 200)


@pytest.mark.req("A-09", "A-21", "A-35")
async def test_a_refused_cell_changes_nothing(api: httpx.AsyncClient, items: dict[str, int]) -> None:
    """What answers 403 or 404 has read and written nothing."""
    for token in (None, access_token(scp="ToDoList.Read"), access_token(scp="ToDoList.ReadWrite")):
        for operation in ("put", "delete"):
            await perform(api, operation, items[BOB], token)
    listed = (await api.get(LIST, headers=bearing(app_token()))).json()
    assert listed == [{"id": items[owner], "owner": owner, "description": "one"} for owner in (ALICE, BOB)]


@pytest.mark.req("A-20", "A-32")
async def test_a_person_owns_what_they_add(api: httpx.AsyncClient) -> None:
    """A person's item is owned by the token's oid, whatever the body says."""
    answer = await api.post(LIST, json={"description": "x", "owner": BOB}, headers=bearing(access_token()))
    assert (answer.status_code, answer.json()["owner"]) == (201, ALICE)


@pytest.mark.req("A-20", "A-35")
async def test_an_application_names_the_owner(api: httpx.AsyncClient) -> None:
    """An application's item belongs to whom it names; GUIDs are compared in lower case."""
    answer = await api.post(LIST, json={"description": "x", "owner": BOB.upper()}, headers=bearing(app_token()))
    assert (answer.status_code, answer.json()["owner"]) == (201, BOB)


@pytest.mark.req("A-20")
@pytest.mark.parametrize("owner", [ABSENT, None, "", "bob", "b" * 256, 7, [BOB]])
async def test_an_application_names_a_possible_owner(api: httpx.AsyncClient, owner: object) -> None:
    """An application that names no owner, or one that no token could ever have, is answered 422."""
    body = {"description": "x"} if owner is ABSENT else {"description": "x", "owner": owner}
    answer = await api.post(LIST, json=body, headers=bearing(app_token()))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:resource-api:problem:invalid-input")
    assert set(answer.json()["fields"]) == {"owner"}


@pytest.mark.req("A-23", "A-24", "A-25")
@pytest.mark.parametrize(
    ("overrides", "sees"),
    [
        ({"idtyp": "app", "roles": ["ToDoList.Read.All"], "scp": ABSENT}, {ALICE, BOB}),
        ({"idtyp": ABSENT, "roles": ["ToDoList.Read.All"], "scp": ABSENT}, {ALICE, BOB}),
        ({"idtyp": ABSENT, "roles": ["ToDoList.Read.All"], "scp": "ToDoList.Read"}, {ALICE}),
        ({"idtyp": "user", "roles": ["ToDoList.ReadWrite.All"], "scp": "ToDoList.Read"}, {ALICE}),
    ],
)
async def test_who_is_an_application(
    api: httpx.AsyncClient, items: dict[str, int], overrides: dict[str, Any], sees: set[str]
) -> None:
    """Idtyp decides where it is sent, roles without scp where it is not; a person's role never widens their view."""
    answer = await api.get(LIST, headers=bearing(access_token(**overrides)))
    assert {item["owner"] for item in answer.json()} == sees


@pytest.mark.req("A-08", "A-33")
@pytest.mark.parametrize(
    "scope", ["todolist.read", "TODOLIST.READ", "ToDoList.Read.All", "ToDoList.Reads", "oDoList.Read"]
)
async def test_names_are_compared_exactly(api: httpx.AsyncClient, scope: str) -> None:
    """A scope in another case, or one that merely looks like it, is another scope."""
    assert (await api.get(LIST, headers=bearing(access_token(scp=scope)))).status_code == 403


@pytest.mark.req("RS-3", "A-08")
async def test_the_challenge_names_the_scopes(api: httpx.AsyncClient) -> None:
    """403 is insufficient_scope and names what would be enough (RFC 6750 3.1)."""
    answer = await api.post(LIST, json={"description": "x"}, headers=bearing(access_token(scp="ToDoList.Read")))
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="ToDoList.ReadWrite"'
    assert answer.json()["type"] == "urn:resource-api:problem:insufficient-scope"
