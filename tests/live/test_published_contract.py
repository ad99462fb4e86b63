"""The published document against the served API: what is generated from the one, the other answers as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.world.live_api import LiveApi, live_api
from tests.world.postgres import running_postgres
from tests.world.tokens import access_token, app_token

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

SCHEMATHESIS: Final = Path(sys.executable).parent / "schemathesis"
# A condition that is written well and names no current version is answered 412, as it should be.
ACCEPTED: Final = ("2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx")
# An application has to name an owner that could exist; of a person's call the same document asks for none.
ACCEPTED_OF: Final = {"person": ACCEPTED, "application": (*ACCEPTED, "422")}
CALLERS: Final = {"person": access_token, "application": lambda: app_token(roles=["ToDoList.ReadWrite.All"])}


@pytest.fixture(params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveApi]:
    """A live API on each store in turn."""
    if request.param == "sqlite":
        with live_api(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite") as served:
            yield served
        return
    with running_postgres() as server, live_api(tmp_path, server.new_database()) as served:
        yield served


@pytest.mark.req("A-41")
@pytest.mark.parametrize("caller", CALLERS)
def test_nothing_is_found(api: LiveApi, caller: str, tmp_path: Path) -> None:
    """Every check there is, on examples, limits, random data and sequences of calls: no failure, no fault logged."""
    accepted = f"[checks.positive_data_acceptance]\nexpected-statuses = {list(ACCEPTED_OF[caller])}\n"
    (tmp_path / "schemathesis.toml").write_text(accepted, encoding="utf-8")
    command = [
        str(SCHEMATHESIS),
        *("--config-file", "schemathesis.toml", "run", f"{api.url}/openapi.json"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--seed", "20260101", "--max-examples", "25", "--generation-database", "none"),
        *("--header", f"Authorization: Bearer {CALLERS[caller]()}", "--continue-on-failure", "--no-color"),
    ]
    environment = {**os.environ, "NO_PROXY": "*"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert "Traceback" not in api.log.read_text()
