"""What a deployment is promised is one table: enforced at the start, printed in the refusal and in the docs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest

from bff.settings.compatibility import TABLE, LedgerKind, Rotation, Store, as_markdown, fault_of, row_of

PAGE = Path(__file__).parents[2] / "docs/sessions.md"


@pytest.mark.req("F13", "F14", "F1")
def test_the_page_shows_the_table_that_is_enforced() -> None:
    """Row by row, word by word."""
    assert as_markdown() in PAGE.read_text(encoding="utf-8")


@pytest.mark.req("F13", "F14")
@pytest.mark.parametrize("store", get_args(Store))
@pytest.mark.parametrize("ledger", get_args(LedgerKind))
@pytest.mark.parametrize("rotation", get_args(Rotation))
@pytest.mark.parametrize("several", [False, True])
def test_each_deployment_has_exactly_one_row(
    store: Store, ledger: LedgerKind, rotation: Rotation, *, several: bool
) -> None:
    """Nothing is promised twice, and about nothing is there silence."""
    machines = {"any", "several" if several else "one"}
    rows = [
        row
        for row in TABLE
        if (row.store, row.machines in machines) == (store, True)
        and ledger in row.ledgers
        and rotation in row.rotations
    ]
    assert rows == [row_of(store, ledger, rotation, several=several)]


@pytest.mark.req("F13", "F14")
def test_what_can_never_be_safe_is_refused() -> None:
    """Strict rotation and machines that share no ledger; sessions in Redis whose ends lie elsewhere; nothing else."""
    deployments = itertools.product(get_args(Store), get_args(LedgerKind), get_args(Rotation), [False, True])
    refused = {one for one in deployments if fault_of(one[0], one[1], one[2], several=one[3])}
    apart = {("cookie", ledger, "strict", True) for ledger in ("file", "memory")}
    elsewhere = {
        ("redis", ledger, rotation, several)
        for ledger in ("file", "memory")
        for rotation in get_args(Rotation)
        for several in (False, True)
    }
    assert refused == apart | elsewhere


@pytest.mark.req("F13")
def test_a_refusal_holds_the_table_of_what_works() -> None:
    """With the cure before it, and without what is for tests only."""
    [fault] = fault_of("cookie", "file", "strict", several=True)
    first, *works = fault.splitlines()
    assert "session.machines" not in works
    assert "Cure: ledger" in first
    assert len(works) == sum(not row.refused and "memory" not in row.ledgers for row in TABLE)
    assert not any("memory" in line for line in works)
