"""The soak can fail: each kind of leak, in a series as a run would show it, is found and named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.leaks import Look, leaks

CALLS, WARM = 20_000, 3


def series(*, bytes_a_call: float = 0.0) -> list[Look]:
    """Eleven looks at a process that warms up by 12 MB, wavers by half a megabyte, and rises by so much."""
    warmed = [0.0, 9.0, 11.0, *[12.0] * 8]
    waver = [0.0, 0.3, -0.2, 0.4, -0.3, 0.5, -0.4, 0.2, -0.5, 0.3, -0.1]
    return [
        Look(
            calls=CALLS * at,
            memory_mb=90 + warmed[at] + waver[at] + bytes_a_call * CALLS * at / 1e6,
            files=20,
            tasks=4,
            upstream=0,
        )
        for at in range(11)
    ]


def test_a_process_that_only_warms_up_and_wavers_leaks_nothing() -> None:
    """What caches and pools take, and half a megabyte to and fro, is no leak."""
    assert list(leaks(series(), warm=WARM)) == []


def test_one_small_object_kept_for_each_call_is_a_leak() -> None:
    """Sixty-four bytes a call are found; they are less than the smallest dict."""
    (found,) = leaks(series(bytes_a_call=64), warm=WARM)
    assert found.startswith("memory rises by ")


def test_one_odd_look_is_no_leak() -> None:
    """A peak of 6 MB at one look, the last one even, does not make a slope."""
    looks = series()
    looks[-1] = replace(looks[-1], memory_mb=looks[-1].memory_mb + 6)
    assert list(leaks(looks, warm=WARM)) == []


@pytest.mark.parametrize("what", ["files", "tasks", "upstream"])
def test_what_is_counted_must_be_as_many_as_at_the_start(what: str) -> None:
    """A single file, task or connection more than at the start is a leak."""
    looks = series()
    looks[-1] = replace(looks[-1], **{what: getattr(looks[0], what) + 1})
    assert len(list(leaks(looks, warm=WARM))) == 1
