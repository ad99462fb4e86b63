from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial"
CUT = re.compile(r"^<!-- (\S+) -->\n```(?:python|js|toml|tsx?|html)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(?:python|js|tsx?)\n", re.MULTILINE)


def snippets() -> list[tuple[str, str, str]]:
    """Each piece of code that a page shows: the page, the file it is cut from, the text."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [(page.name, file, text) for page in pages for file, text in CUT.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "file", "text"), snippets(), ids=lambda value: value if len(value) < 60 else "")
def test_a_snippet_is_cut_from_the_file_that_runs(page: str, file: str, text: str) -> None:
    """What a page shows stands in the file it names, line by line."""
    running = (ROOT / file).read_text(encoding="utf-8")
    assert text in running or textwrap.indent(text, "    ") in running, f"{page}: {file}"


@pytest.mark.parametrize("page", sorted(path.name for path in TUTORIAL.glob("*.md")))
def test_no_code_in_the_tutorial_is_of_nowhere(page: str) -> None:
    """Every piece of Python or JavaScript in the tutorial says which file it is cut from."""
    text = (TUTORIAL / page).read_text(encoding="utf-8")
    assert len(CODE.findall(text)) == len([file for _, file, _ in snippets_of(page) if not file.endswith(".toml")])


def snippets_of(page: str) -> list[tuple[str, str, str]]:
    """The snippets of one page."""
    return [one for one in snippets() if one[0] == page]


ROWS = {
    "C": [*range(1, 64)],
    "A": [*range(1, 27), *range(30, 39), *range(40, 49)],
    "X": [*range(1, 14)],
}


@pytest.mark.req("T-11", "C-62", "C-63", "A-47")
@pytest.mark.parametrize("letter", ROWS)
def test_every_row_of_the_sample_is_answered(letter: str) -> None:
    """differences.md has a line for every feature of the sample's client, its API, and the articles' contradictions."""
    text = (TUTORIAL / "differences.md").read_text(encoding="utf-8")
    named: set[int] = set()
    for line in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE):
        for first, last in re.findall(rf"{letter}-(\d+)(?:…(\d+))?", line):
            named |= set(range(int(first), int(last or first) + 1))
    assert [row for row in ROWS[letter] if row not in named] == []


def test_differences_name_files_that_exist() -> None:
    """A path that differences.md names is a file or a folder of this repository."""
    text = (TUTORIAL / "differences.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:src|deploy|docs|tests|examples)/[\w./-]+)`", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
