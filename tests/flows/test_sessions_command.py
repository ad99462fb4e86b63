"""``bff sessions``: an operator sees where a person is signed in and ends it, while the BFF serves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bff.cli import main
from bff.session.marks import mark_of_person, shown
from tests.world.browser import Tab
from tests.world.house import GRACE, SECRET, House


@pytest.fixture
def config(house: House, tmp_path: Path) -> Path:
    """The settings of the house, as the file that its operator has."""
    path = tmp_path / "bff.toml"
    path.write_text(
        f"""public_url = "{house.origin}"
[authority]
issuer = "{house.options.issuer_identifier}"
metadata_url = "{house.options.metadata_url}"
client_id = "{house.bff_client_id}"
client_secret = "{SECRET}"
[session]
keys_file = "{house.folder}/keys.json"
ledger = "file:{house.folder}/ledger.sqlite"
""",
        encoding="utf-8",
    )
    return path


async def run(config: Path, *words: str) -> Result:
    """The command, as a process of its own would run it: it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["sessions", *words, "--config", str(config)])


async def why_refused(house: House, tab: Tab) -> tuple[int, str | None]:
    """How a call is answered once the process has heard of what others wrote."""
    house.clock.advance(1)
    answer = await tab.api("/api/todolist")
    return answer.status_code, answer.json().get("reason") if answer.status_code >= 400 else None


def audited(result: Result) -> list[dict[str, Any]]:
    """The lines of the audit log among what the command said."""
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("source") == "bff.audit"]  # a library may say something too


def name_another_ledger(config: Path, ledger: str) -> None:
    """Write it into the operator's file."""
    before, _, _ = config.read_text(encoding="utf-8").partition("ledger =")
    config.write_text(f'{before}ledger = "{ledger}"\n', encoding="utf-8")


def is_there(path: str) -> bool:
    """Whether anything was made at this path."""
    return Path(path).exists()


@pytest.mark.req("F9", "F11")
async def test_an_operator_ends_all_that_a_person_has_begun(house: House, config: Path) -> None:
    """Both of their browsers are signed out and told why; nobody else is; a sign-in afterwards lives."""
    first, second, other = await house.signed_in(), await house.signed_in(), await house.signed_in(GRACE)
    subject = (await house.session(first.browser)).subject
    listed = await run(config, "list", "--subject", subject)
    assert listed.exit_code == 0, listed.output
    assert "2 sessions" in listed.output
    assert await house.tag(first) in listed.output
    assert shown(mark_of_person(house.options.issuer_identifier, subject)) in listed.output
    ended = await run(config, "end", "--subject", subject)
    assert (ended.exit_code, "2 on the list" in ended.stdout) == (0, True)
    [line] = audited(ended)
    assert (line["event"], line["covers"], line["by"], line["reason"]) == (
        "sessions_ended",
        "person",
        "operator",
        "admin",
    )
    assert subject not in ended.output
    assert await why_refused(house, first) == (401, "admin")
    assert await why_refused(house, second) == (401, "admin")
    assert await why_refused(house, other) == (200, None)
    assert await why_refused(house, await house.signed_in()) == (200, None)
    assert "1 session\n" in (await run(config, "list", "--subject", subject)).output


@pytest.mark.req("F9")
async def test_an_operator_ends_one_session(house: House, config: Path) -> None:
    """By the tag that its page shows; another person's tag, or a second try, does nothing and says so."""
    first, second = await house.signed_in(), await house.signed_in()
    subject, tag = (await house.session(first.browser)).subject, await house.tag(first)
    wrong = await run(config, "end", "--subject", "somebody-else", "--tag", tag)
    assert (wrong.exit_code, "Nothing was done" in wrong.stderr) == (1, True)
    ended = await run(config, "end", "--subject", subject, "--tag", tag)
    assert (ended.exit_code, tag in ended.stdout) == (0, True)
    assert await why_refused(house, first) == (401, "admin")
    assert await why_refused(house, second) == (200, None)
    assert (await run(config, "end", "--subject", subject, "--tag", tag)).exit_code == 1


@pytest.mark.req("F11")
async def test_an_operator_ends_everybodys(house: House, config: Path) -> None:
    """Whoever has a session is signed out by it; a sign-in under way then or later begins one that lives."""
    ada, grace = await house.signed_in(), await house.signed_in(GRACE)
    house.clock.advance(1)
    ended = await run(config, "end", "--all")
    assert ended.exit_code == 0, ended.output
    assert [(line["covers"], line["reason"]) for line in audited(ended)] == [("everybody", "epoch")]
    assert await why_refused(house, ada) == (401, "epoch")
    assert await why_refused(house, grace) == (401, "epoch")
    house.clock.advance(1)
    assert await why_refused(house, await house.signed_in()) == (200, None)


@pytest.mark.req("F11")
async def test_a_setting_ends_what_began_before_an_instant(house: House) -> None:
    """It needs no ledger: whatever began until then is over in every mode, and what begins afterwards lives."""
    early = await house.signed_in()
    house.clock.advance(60)
    late = await house.signed_in()
    at = (await house.session(late.browser)).began_at - 30
    await house.restart_bff(session={"ledger": "memory", "begun_after": at})
    assert await why_refused(house, early) == (401, "epoch")
    assert await why_refused(house, late) == (200, None)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["end"], "--subject SUB"),
        (["list"], "--subject SUB"),
        (["end", "--all", "--subject", "x"], "leave --subject"),
    ],
    ids=["nobody to end", "nobody to list", "somebody and everybody"],
)
async def test_a_command_that_names_nobody_does_nothing(config: Path, words: list[str], cure: str) -> None:
    """It says what is missing."""
    result = await run(config, *words)
    assert (result.exit_code, cure in result.output) == (2, True)


@pytest.mark.req("F13")
@pytest.mark.parametrize(
    ("ledger", "cure"), [("memory", "one ledger for all"), ("file:/nowhere/ledger.sqlite", "whole path")]
)
async def test_a_ledger_that_is_not_there_is_not_made(config: Path, ledger: str, cure: str) -> None:
    """An end in a ledger that nobody reads would be a lie, so it is refused with the cure."""
    name_another_ledger(config, ledger)
    result = await run(config, "end", "--all")
    assert (result.exit_code, cure in result.stderr) == (1, True)
    assert not is_there("/nowhere")
