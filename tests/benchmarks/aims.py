"""The figures that this project promises, held against what a run has seen. Nothing here is typed in from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.results import Row

SMALL = "small/c32/cookie1"
TIMES = "\N{MULTIPLICATION SIGN}"
FLAT = 1.10
"""What a busy machine does to two runs of the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One figure. ``met`` is None where this run has not measured it."""

    figure: str
    aim: str
    measured: str = "not measured in this run"
    met: bool | None = None


def aims_of(rows: Sequence[Row]) -> list[Aim]:
    """Every figure, in the order in which they are promised."""
    found = _Rows(rows)
    return [*_against_peers(found), *_added(found), *_growth(found), *_streams(found), *_flatness(found)]


def aims_table(rows: Sequence[Row]) -> str:
    """All of them as a Markdown table."""
    words = {None: "—", True: "met", False: "**not met**"}
    lines = ["| figure | aim | measured | |", "|---|---|---|---|"]
    lines += [f"| {aim.figure} | {aim.aim} | {aim.measured} | {words[aim.met]} |" for aim in aims_of(rows)]
    return "\n".join(lines)


class _Rows:
    """Rows by scenario and subject."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {(row.scenario, row.subject): row for row in rows}

    def both(self, scenario: str, other: str) -> tuple[Row, Row] | None:
        """Ours and another subject's, of one scenario."""
        ours, theirs = self.ours(scenario), self._rows.get((scenario, other))
        return None if ours is None or theirs is None else (ours, theirs)

    def ours(self, scenario: str) -> Row | None:
        """Our row of one scenario."""
        return self._rows.get((scenario, "ours"))

    def few_and_many(self, prefix: str) -> tuple[Row, Row] | None:
        """Our first and our last row whose scenario begins so: a run goes from few to many."""
        rows = [row for (scenario, who), row in self._rows.items() if who == "ours" and scenario.startswith(prefix)]
        return (rows[0], rows[-1]) if len(rows) > 1 else None


def _against_peers(rows: _Rows) -> Iterator[Aim]:
    for peer, figure, most in (
        ("envoy", "CPU per call against Envoy's OAuth2 filter", 1.0),
        ("seed", "CPU per call against the Node stack (`seed`)", 0.15),
    ):
        aim = Aim(figure=figure, aim=f"≤ {most:g}{TIMES}")
        pair = rows.both(SMALL, peer)
        if pair is not None:
            ratio = pair[0].cpu_us / pair[1].cpu_us
            told = f"{ratio:.2f}{TIMES} ({pair[0].cpu_us:.0f} of {pair[1].cpu_us:.0f} µs)"
            aim = Aim(figure=figure, aim=aim.aim, measured=told, met=ratio <= most)
        yield aim


def _added(rows: _Rows) -> Iterator[Aim]:
    """What lies between the same client's figures with us in between and without."""
    for scenario, figure, p50_most, p99_most, aim in (
        ("small/half-load", "added to a direct call at half load, p50 and p99", 0.5, 3.0, "≤ 0.5 ms, 3 ms"),
        ("event/s20", "added to an event's first byte, p50 and p99", 2.0, 2.0, "< 2 ms"),
    ):
        pair = rows.both(scenario, "direct")
        if pair is None:
            yield Aim(figure=figure, aim=aim)
            continue
        p50, p99 = pair[0].p50_ms - pair[1].p50_ms, pair[0].p99_ms - pair[1].p99_ms
        told = f"{p50:.2f} ms, {p99:.2f} ms (at {pair[0].rps:,.0f} a second)"
        yield Aim(figure=figure, aim=aim, measured=told, met=p50 <= p50_most and p99 <= p99_most)


def _growth(rows: _Rows) -> Iterator[Aim]:
    for direction in ("down", "up"):
        figure, aim = f"memory grows while 1 GB goes {direction}", "< 16 MB"
        row = rows.ours(f"1GB-{direction}/growth")
        if row is None:
            yield Aim(figure=figure, aim=aim)
        else:
            yield Aim(figure=figure, aim=aim, measured=f"{row.rss_mb:.1f} MB", met=row.rss_mb < 16)


def _streams(rows: _Rows) -> Iterator[Aim]:
    each, ends = rows.ours("idle-streams/each"), rows.ours("idle-streams/leave")
    figure, aim = "memory of an idle event stream, of 5,000", "≤ 32 KB"
    if each is None:
        yield Aim(figure=figure, aim=aim)
    else:
        kilobytes = each.rss_mb * 1e6 / 1024
        yield Aim(figure=figure, aim=aim, measured=f"{kilobytes:.1f} KB", met=kilobytes <= 32)
    figure, aim = "they end when the process is told to leave", "all, within 20 s"
    if ends is None:
        yield Aim(figure=figure, aim=aim)
    else:
        told = f"all {ends.rps:,.0f}, 99 of 100 within {ends.p99_ms / 1000:.1f} s"
        yield Aim(figure=figure, aim=aim, measured=told, met=ends.p99_ms < 20_000)


def _flatness(rows: _Rows) -> Iterator[Aim]:
    for what, figure in (
        ("routes", "CPU per call from 1 to 500 routes"),
        ("sessions", "CPU per call from 10 to 10,000 sessions, each call another one's"),
    ):
        aim, found = f"flat (≤ {FLAT:g}{TIMES})", rows.few_and_many(f"small/c32/{what}")
        if found is None:
            yield Aim(figure=figure, aim=aim)
            continue
        few, many = found
        ratio = many.cpu_us / few.cpu_us
        told = f"{ratio:.2f}{TIMES} ({few.cpu_us:.0f} to {many.cpu_us:.0f} µs)"
        yield Aim(figure=figure, aim=aim, measured=told, met=ratio <= FLAT)
