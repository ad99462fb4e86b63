"""The documents and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bff import settings
from resource_api.settings import ResourceAPISettings
from tests.world.chaos import MODES

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
TABLES: dict[str, type[BaseModel]] = {
    "[server]": settings.ServerSettings,
    "[authority]": settings.AuthoritySettings,
    "[session]": settings.SessionSettings,
    "[page]": settings.PageSettings,
    "[relay]": settings.RelaySettings,
    "[[route]]": settings.RouteSettings,
    "resource_api": ResourceAPISettings,
}


def documented(heading: str) -> set[str]:
    """The keys in the table below a heading of docs/settings.md."""
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n#", 1)[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize("heading", TABLES)
def test_every_setting_is_documented(heading: str) -> None:
    """docs/settings.md lists exactly the keys that the code reads."""
    assert documented(heading) == set(TABLES[heading].model_fields)


def test_every_target_is_in_the_help() -> None:
    """Make help names each phony target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]  # because it is there
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert phony == described


def test_the_map_of_the_readme_names_files_that_exist() -> None:
    """Each path that the README shows below src/ is a file or a folder."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`(src/[\w./-]+)`", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link in a Markdown file points at a file that exists."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [(page, target) for page in pages for target in LINK.findall(page.read_text(encoding="utf-8"))]
    broken = [f"{page.relative_to(ROOT)}: {target}" for page, target in links if not (page.parent / target).exists()]
    assert broken == []


def test_every_decision_has_its_own_number() -> None:
    """A decision is cited by number, so no two share one, and its heading says the number of its file."""
    pages = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert len(set(numbers)) == len(numbers)
    headings = [int(page.read_text(encoding="utf-8")[2:].split(".")[0]) for page in pages]
    assert headings == numbers


def test_every_fault_is_told_and_costs_no_session_that_was_not_promised() -> None:
    """docs/chaos.md has a line of each fault in each mode, from a run, and says what is done."""
    text = (ROOT / "docs/chaos.md").read_text(encoding="utf-8")
    table, what = text.split("<!-- chaos: begin -->", 1)[1].split("<!-- chaos: end -->", 1)
    rows = re.findall(r"^\| `([a-z-]+)` \| .+ \| ([\d-]+) \| ([\d-]+) \| [\d.-]+ \|$", table, re.MULTILINE)
    assert [fault for fault, _, _ in rows] == [fault for fault, modes in MODES.items() for _ in modes]
    assert [fault for fault, logouts, promised in rows if logouts != promised] == []
    assert [fault for fault in MODES if f"`{fault}`" not in what] == []
