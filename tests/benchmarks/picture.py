"""The rows as people read them: a table for the terminal, and a drawing for the documents."""

from __future__ import annotations

from html import escape
from pathlib import Path

from tests.benchmarks.results import Row

_SMALL = "small/c32/cookie1"
_BAR, _LEFT, _WIDTH = 28, 170, 720


def table(rows: list[Row]) -> str:
    """Return all rows as a Markdown table."""
    lines = [
        "| subject | scenario | CPU µs | requests/s | p50 ms | p99 ms | memory MB |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row.subject} | {row.scenario} | {row.cpu_us:.1f} | {row.rps:,.0f} "
        f"| {row.p50_ms:.2f} | {row.p99_ms:.2f} | {row.rss_mb:.4g} |"
        for row in rows
    ]
    return "\n".join(lines)


def insert(path: Path, *, mark: str, told: str) -> None:
    """Put what a run tells between two marks of a document."""
    before, begins, rest = path.read_text(encoding="utf-8").partition(f"<!-- {mark}: begin -->\n")
    _, ends, after = rest.partition(f"<!-- {mark}: end -->")
    if not begins or not ends:
        raise ValueError(f"{path} has no marks for {mark}")
    path.write_text(before + begins + told + ends + after, encoding="utf-8")


def draw(rows: list[Row], path: Path) -> None:
    """Draw the CPU of a small relayed call, subject by subject, as SVG that is legible in light and dark."""
    bars = sorted((row for row in rows if row.scenario == _SMALL), key=lambda row: row.cpu_us)
    if not bars:
        return
    scale = (_WIDTH - _LEFT - 110) / max(row.cpu_us for row in bars)
    height = _BAR * len(bars) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        '<g font-family="system-ui, sans-serif" font-size="14">',
        "<style>text{fill:#24292f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>",
        '<text x="8" y="22" font-weight="600">CPU for one relayed call, microseconds</text>',
    ]
    for index, row in enumerate(bars):
        y = 40 + index * _BAR
        colour = "#0a7d5a" if row.subject == "ours" else "#8c959f"
        parts += [
            f'<text x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(row.subject)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{row.cpu_us * scale:.0f}" height="{_BAR - 8}" rx="3" fill="{colour}"/>',
            f'<text x="{_LEFT + row.cpu_us * scale + 8:.0f}" y="{y + 15}">{row.cpu_us:.0f}</text>',
        ]
    parts.append(f'<text x="8" y="{height - 6}" font-size="11">{escape(bars[0].machine)}</text></g></svg>')
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
