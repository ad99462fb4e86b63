"""The table of aims says what the rows of a run say, and nothing where they say nothing."""

from __future__ import annotations

import pytest

from tests.benchmarks.aims import aims_of, aims_table
from tests.benchmarks.results import Row


def row(scenario: str, subject: str = "ours", **figures: float) -> Row:
    """A row in which only these figures are not zero."""
    zeros = dict.fromkeys(("cpu_us", "rps", "p50_ms", "p99_ms", "rss_mb"), 0.0)
    return Row(bench="relay", scenario=scenario, subject=subject, machine="a machine", **{**zeros, **figures})


MET = [
    row("small/c32/cookie1", cpu_us=50),
    row("small/c32/cookie1", "envoy", cpu_us=50),
    row("small/c32/cookie1", "seed", cpu_us=400),
    row("small/half-load", p50_ms=0.5, p99_ms=3.0),
    row("small/half-load", "direct", p50_ms=0.1, p99_ms=0.2),
    row("event/s20", p50_ms=0.3, p99_ms=1.9),
    row("event/s20", "direct", p50_ms=0.1, p99_ms=0.2),
    row("1GB-down/growth", rss_mb=15.9),
    row("1GB-up/growth", rss_mb=1.0),
    row("idle-streams/each", rss_mb=0.0327),
    row("idle-streams/leave", rps=5000, p99_ms=1200),
    row("small/c32/routes1", cpu_us=50),
    row("small/c32/routes500", cpu_us=55),
    row("small/c32/sessions10", cpu_us=50),
    row("small/c32/sessions10000", cpu_us=54),
]
MISSED = [
    row("small/c32/cookie1", "envoy", cpu_us=49),
    row("small/c32/cookie1", "seed", cpu_us=330),
    row("small/half-load", p50_ms=0.61, p99_ms=1.0),
    row("small/half-load", p50_ms=0.2, p99_ms=3.3),
    row("event/s20", p50_ms=0.3, p99_ms=2.3),
    row("1GB-down/growth", rss_mb=16.0),
    row("1GB-up/growth", rss_mb=16.0),
    row("idle-streams/each", rss_mb=0.0329),
    row("idle-streams/leave", rps=5000, p99_ms=20_001),
    row("small/c32/routes500", cpu_us=56),
    row("small/c32/sessions10000", cpu_us=56),
]


def test_a_run_that_meets_every_aim_is_told_so() -> None:
    """Each aim at its very edge counts as met."""
    assert [aim.figure for aim in aims_of(MET) if aim.met is not True] == []


@pytest.mark.parametrize("missed", MISSED, ids=lambda one: f"{one.scenario}/{one.subject}")
def test_a_figure_beyond_its_aim_is_not_met(missed: Row) -> None:
    """One row that is worse makes exactly one figure missed, and the table says so."""
    rows = [one for one in MET if (one.scenario, one.subject) != (missed.scenario, missed.subject)]
    assert [aim.met for aim in aims_of([*rows, missed])].count(False) == 1
    assert aims_table([*rows, missed]).count("**not met**") == 1


def test_what_a_run_did_not_measure_is_neither_met_nor_missed() -> None:
    """Without rows there is no verdict on anything."""
    assert {aim.met for aim in aims_of([])} == {None}
