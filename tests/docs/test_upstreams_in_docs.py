"""What the documentation says about the two implementations of the upstream is what the tests hold them to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world.upstream_differences import DIFFERENCES


@pytest.mark.req("F41")
def test_the_table_of_differences_is_the_tests_own() -> None:
    """Row by row, in its order, and not one row more."""
    text = Path("docs/relay.md").read_text(encoding="utf-8")
    _, _, behind = text.partition("| what the API does | httptools | httpx | why |\n|---|---|---|---|\n")
    rows = [line for line in behind.partition("\n\n")[0].splitlines() if line]
    assert rows == [one.row for one in DIFFERENCES]
