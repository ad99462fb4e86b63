from __future__ import annotations

import json
from typing import Any

import pytest

from bff.errors import AuthorizationServerUnavailable, BFFError, ClientRefused, CodeRefused, RefreshRefused
from bff.oidc.back_channel import Answer
from bff.oidc.messages import TokenSet
from bff.oidc.token_response import lifetime, members_of, token_set
from tests.world.tokens import ABSENT


def answer(status: int, body: Any) -> Answer:
    """An answer of the token endpoint."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers={}, body=raw)


def tokens(**overrides: object) -> TokenSet:
    """The tokens of an honest answer with overrides."""
    members = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600, **overrides}
    present = {name: value for name, value in members.items() if value is not ABSENT}
    return token_set(present, now=1000.0, unstated_scope=frozenset({"asked"}))


@pytest.mark.req("OA-4")
@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_the_token_type_knows_no_case(token_type: str) -> None:
    """Bearer is Bearer however it is written (RFC 6749 5.1)."""
    assert tokens(token_type=token_type, unknown={"ignored": True}).access_token == "at"


@pytest.mark.req("OA-4")
@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        (59.5, 59.5),
        ("3599", 3599),
        (ABSENT, 300),
        (None, 300),
        (0, 300),
        (-1, 300),
        ("soon", 300),
        ("", 300),
        ("²", 300),
        ("9" * 400, 300),
        (True, 300),
        ([3600], 300),
        (10**12, 365 * 24 * 3600),
    ],
)
def test_a_life_time_is_always_a_sensible_number(expires_in: object, seconds: float) -> None:
    """Missing or senseless means five minutes, and nothing lives longer than a year."""
    assert tokens(expires_in=expires_in).expires_at == 1000 + seconds
    assert expires_in is ABSENT or lifetime(expires_in) == seconds


@pytest.mark.parametrize(
    "broken",
    [
        {"token_type": ABSENT},
        {"token_type": None},
        {"token_type": 1},
        {"token_type": "DPoP"},
        {"access_token": ABSENT},
        {"access_token": ""},
        {"access_token": 1},
        {"access_token": "a b"},
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": "ü"},
        {"refresh_token": ["rt"]},
        {"refresh_token": "a\nb"},
        {"id_token": {"sub": "x"}},
    ],
)
def test_an_answer_that_is_no_bearer_token_is_the_servers_outage(broken: dict[str, object]) -> None:
    """Nobody's session or sign-in is called invalid because an answer makes no sense."""
    with pytest.raises(AuthorizationServerUnavailable) as outage:
        tokens(**broken)
    assert outage.value.sent


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("a b", {"a", "b"}),
        ("  a  ", {"a"}),
        (ABSENT, {"asked"}),
        (None, {"asked"}),
        ("", {"asked"}),
        (["a"], {"asked"}),
    ],
)
def test_an_unstated_scope_is_the_one_asked_for(scope: object, granted: set[str]) -> None:
    """The server states a scope only where it differs (RFC 6749 5.1)."""
    assert tokens(scope=scope).scope == granted


@pytest.mark.parametrize("name", ["refresh_token", "id_token"])
@pytest.mark.parametrize("value", [ABSENT, None, ""])
def test_a_token_that_is_not_there_is_none(name: str, value: object) -> None:
    """Absent, null and empty say the same."""
    assert getattr(tokens(**{name: value}), name) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": "invalid_grant"}),
        (503, {"error": "temporarily_unavailable"}),
        (429, {"error": "invalid_grant"}),
        (408, {}),
        (302, {}),
        (201, {"access_token": "at"}),
        (204, b""),
        (200, b"<html>"),
        (200, b'{"access_token": "a", "access_token": "b"}'),
        (200, [1]),
        (400, b"<html>"),
        (400, {}),
        (401, {"error": None}),
        (400, {"error": 1}),
        (400, {"error": "<script>"}),
        (400, {"error": "x" * 100}),
    ],
)
def test_what_says_neither_yes_nor_no_is_an_outage(status: int, body: Any) -> None:
    """An error page, a proxy's 502, a rate limit or an unreadable refusal never ends a sign-in or a session."""
    with pytest.raises(AuthorizationServerUnavailable):
        members_of(answer(status, body), RefreshRefused)


@pytest.mark.parametrize("grant", [CodeRefused, RefreshRefused])
@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_grant", None),
        ("invalid_client", ClientRefused),
        ("unauthorized_client", ClientRefused),
        ("invalid_request", ClientRefused),
        ("invalid_scope", ClientRefused),
        ("unsupported_grant_type", ClientRefused),
        ("interaction_required", ClientRefused),
        ("temporarily_unavailable", AuthorizationServerUnavailable),
        ("server_error", AuthorizationServerUnavailable),
    ],
)
def test_whose_fault_a_refusal_is(
    grant: type[CodeRefused | RefreshRefused], status: int, code: str, kind: type[BFFError] | None
) -> None:
    """invalid_grant alone speaks of the person's grant; everything else is the server's fault or ours."""
    body = {"error": code, "error_description": "canary", "error_codes": [7000222, "canary"]}
    with pytest.raises(BFFError) as refusal:
        members_of(answer(status, body), grant)
    assert type(refusal.value) is (kind or grant)
    assert "canary" not in str(refusal.value)
    assert "7000222" in str(refusal.value)
