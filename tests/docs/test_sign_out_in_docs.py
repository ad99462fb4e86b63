from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from bff.session.audit import WHO, Covers
from bff.session.endings import Reason
from bff.session.limits import MEANINGS, SERIOUS, Limit, limits_of

NOBODY = "\N{EN DASH}"
ROOT = Path(__file__).parents[2]
SIGN_OUT = (ROOT / "docs/sign-out.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "docs/operating.md").read_text(encoding="utf-8")


def test_every_reason_is_described_once() -> None:
    """The table names each reason that the code has, and says who ends a session for it."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", SIGN_OUT, re.MULTILINE))
    assert rows.keys() == {reason.value for reason in Reason} == {reason.value for reason in WHO}
    words = {"person": "the person", "authorization_server": "the authorization server", "time": "time"}
    words |= {"operator": "an operator", "bff": "the BFF"}
    assert [row for row, who in rows.items() if who not in {NOBODY, words[WHO[Reason(row)]]}] == []


def test_the_page_has_words_for_every_reason() -> None:
    """Whoever is signed out reads why, whatever the reason."""
    script = (ROOT / "src/bff/pages/words.js").read_text(encoding="utf-8")
    endings = script.split("const ENDINGS = {", 1)[1].split("};", 1)[0]
    assert set(re.findall(r"^  (\w+):", endings, re.MULTILINE)) == {reason.value for reason in Reason}


@pytest.mark.req("F13")
@pytest.mark.parametrize(
    ("row", "ledger", "machines"),
    [
        ("| cookie | file | one |", "file", 1),
        ("| cookie or redis | redis | any |", "redis", 3),
        ("| cookie | file | several |", "file", 2),
        ("| cookie | memory | any |", "memory", 1),
    ],
)
def test_the_limits_of_each_mode_are_those_of_the_code(row: str, ledger: str, machines: int) -> None:
    """What the start says that cannot be known is what the table says."""
    [line] = [line for line in SIGN_OUT.splitlines() if line.startswith(row)]
    found = limits_of(ledger=ledger, machines=machines)
    assert re.findall(r"`(\w+)`", line) == [limit.value for limit in found]


def test_every_limit_has_its_words() -> None:
    """In the log and in the document alike."""
    assert MEANINGS.keys() == set(Limit)
    assert set(Limit) > SERIOUS
    assert set(re.findall(r"^- `(\w+)`:", SIGN_OUT, re.MULTILINE)) == {limit.value for limit in Limit}


def test_the_audit_log_is_described() -> None:
    """Every event, every field's words."""
    assert set(re.findall(r"^\| `(sessions?_\w+)` \|", OPERATING, re.MULTILINE)) == {
        "session_began",
        "session_ended",
        "sessions_ended",
    }
    for word in {*WHO.values(), *get_args(Covers)}:
        assert f"`{word}`" in OPERATING
