"""What the log holds, and what it never does."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr

import httpx
import pytest
import structlog
from fastapi import FastAPI

from resource_api.telemetry.logs import configure_logging
from tests.resource_api.conftest import bearing, caller
from tests.world.key_host import KeyHost
from tests.world.tokens import access_token, app_token, pairwise, stranger

LIST = "/api/todolist"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that any logger writes, at DEBUG; afterwards logging is as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    with redirect_stderr(io.StringIO()) as written:
        configure_logging("DEBUG")
        yield written
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


@pytest.mark.req("ATK-59")
async def test_no_secret_is_ever_logged(app: FastAPI, key_host: KeyHost, lines: io.StringIO) -> None:
    """The API's whole story at DEBUG, refusals and outages included, leaves no token, claim or to-do in any line."""
    good, forged = access_token(name="Canary Name", email="canary@example.com"), access_token(key=stranger())
    async with app.router.lifespan_context(app), caller(app) as api:
        for token in (good, forged, app_token(), "garbage.canary.token", access_token(ver="1.0", name="Canary Name")):
            await api.get(LIST, headers=bearing(token), params={"access_token": "canary-query"})
            await api.post(LIST, json={"description": "canary-text"}, headers=bearing(token))
            await api.post(LIST, json={"description": "canary-text" * 99}, headers=bearing(token))
        key_host.misbehave = "down"
        await api.get(LIST, headers=bearing(access_token(header={"kid": "canary-kid"})))
        await api.get("/canary-path")
    text = lines.getvalue()
    assert text.count('"event": "request"') == 17
    for secret in (good, forged, good.split(".")[1], good.split(".")[2], "canary", "Canary", pairwise("x")[:20]):
        assert secret not in text
    assert "eyJ" not in text


async def test_lines_are_tied_to_the_problem(app: FastAPI, lines: io.StringIO) -> None:
    """The trace id of a problem, of its answer and of its lines is one; a caller's own trace is continued."""
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"} | bearing(access_token(aud="other"))
    async with app.router.lifespan_context(app), caller(app) as api:
        answer = await api.get(LIST, headers=headers)
        plain = await api.get(LIST)
    assert answer.json()["trace_id"] == answer.headers["X-Request-Id"] == TRACE
    assert plain.json()["trace_id"] == plain.headers["X-Request-Id"] != TRACE
    tied = [line for line in map(json.loads, lines.getvalue().splitlines()) if line.get("trace_id") == TRACE]
    assert [(line["event"], line["status"]) for line in tied] == [("refused", 401), ("request", 401)]
    assert tied[0]["detail"].startswith("9 audience: aud does not name ")


@pytest.mark.parametrize(
    "sent",
    [f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", "x", f"01-{TRACE}-1-01", f"00-{TRACE.upper()}"],
)
async def test_a_trace_that_is_none(api: httpx.AsyncClient, sent: str) -> None:
    """A malformed traceparent is passed over (W3C Trace Context 3.2.2.3)."""
    assert (await api.get("/livez", headers={"traceparent": sent})).headers["X-Request-Id"] != TRACE


async def test_who_called_is_a_tag(app: FastAPI, lines: io.StringIO) -> None:
    """A line names its route by template and its caller by a tag."""
    async with app.router.lifespan_context(app), caller(app) as api:
        await api.get(f"{LIST}/7", headers=bearing(access_token()))
    (line,) = [line for line in map(json.loads, lines.getvalue().splitlines()) if line["event"] == "request"]
    assert (line["route"], line["status"], len(line["caller"])) == (f"{LIST}/{{todo_id}}", 404, 8)


async def test_a_failure_of_ours(app: FastAPI, lines: io.StringIO) -> None:
    """What nobody foresaw is a 500 problem whose trace id finds the line; its text stays inside."""

    class Broken:
        async def list(self, owner: str | None) -> None:
            raise ZeroDivisionError("inside")

    async with app.router.lifespan_context(app), caller(app) as api:
        app.state.todos, kept = Broken(), app.state.todos
        answer = await api.get(LIST, headers=bearing(access_token()))
        app.state.todos = kept
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:resource-api:problem:unexpected-failure")
    assert "inside" not in answer.text
    assert answer.json()["trace_id"] in lines.getvalue()


def test_a_database_password_is_cut() -> None:
    """Whatever logs a URL with a password, the password is cut out of the line."""
    program = (
        "import logging; from resource_api.telemetry.logs import configure_logging; configure_logging();"
        "logging.getLogger('x').warning('cannot reach postgresql://user:s3cret@db/x with Bearer abcdefghijkl')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "s3cret" not in run.stderr
    assert "abcdefghijkl" not in run.stderr
    assert json.loads(run.stderr)["event"] == "cannot reach postgresql://[secret]@db/x with [secret]"


def test_plain_words_for_a_terminal() -> None:
    """``--log-style console`` writes words in place of JSON, and cuts secrets from them all the same."""
    script = (
        "import logging; from resource_api.telemetry.logs import configure_logging; configure_logging(console=True);"
        "logging.getLogger('x').warning('Bearer abcdefghijkl is over')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert "[secret] is over" in done.stderr
    assert "abcdefghijkl" not in done.stderr
    assert not done.stderr.startswith("{")
