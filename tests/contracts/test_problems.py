"""Every error has a problem, every problem has a heading, and no outage says 401."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bff import errors, problems

ROOT = Path(__file__).parents[2]


def leaves(kind: type[errors.BFFError]) -> Iterator[type[errors.BFFError]]:
    """The classes of the tree that are raised: those without subclasses, and none that only stops the start."""
    children = kind.__subclasses__()
    if not children and kind is not errors.ConfigurationError:
        yield kind
    for child in children:
        yield from leaves(child)


@pytest.mark.parametrize("kind", list(leaves(errors.BFFError)), ids=lambda kind: kind.__name__)
def test_every_error_has_a_row(kind: type[errors.BFFError]) -> None:
    """A class that can be raised has a status and a slug of its own in the table."""
    assert kind in problems.TABLE


@pytest.mark.parametrize("kind", list(leaves(errors.BFFError)), ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_drawing(kind: type[errors.BFFError]) -> None:
    """The tree at the top of errors.py shows each class, so that the drawing is the truth."""
    drawing = (errors.__doc__ or "").splitlines()
    assert any(re.search(rf"── {kind.__name__}\b", line) for line in drawing)


@pytest.mark.parametrize("slug", sorted({row.slug for row in problems.TABLE.values()} | {problems.INTERNAL.slug}))
def test_every_problem_is_documented(slug: str) -> None:
    """docs/errors.md has a heading for each slug, with its status and a cure."""
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert f"\n## {slug}\n" in text


def test_no_heading_without_a_problem() -> None:
    """docs/errors.md speaks of no problem that cannot happen."""
    headings = set(re.findall(r"^## (.+)$", (ROOT / "docs/errors.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert headings == {row.slug for row in problems.TABLE.values()} | {problems.INTERNAL.slug}


@pytest.mark.parametrize("kind", list(leaves(errors.Unavailable)), ids=lambda kind: kind.__name__)
def test_an_outage_is_never_401(kind: type[errors.BFFError]) -> None:
    """Whose fault is it decides the status: an outage is 502, 503 or 504."""
    assert problems.TABLE[kind].status in {502, 503, 504}


@pytest.mark.req("ATK-7")
def test_a_problem_echoes_nothing() -> None:
    """The detail of an error goes to the log; the body holds only the class's own words."""
    response = problems.problem_response(errors.MalformedRequest("<script>evil</script>"), "abc")
    assert b"evil" not in bytes(response.body)
