"""Every error of the API has a problem, and no outage says 401."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from resource_api import errors, problems


def leaves(kind: type[errors.ResourceAPIError]) -> Iterator[type[errors.ResourceAPIError]]:
    """The classes that are raised: those without subclasses."""
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


ALL = list(leaves(errors.ResourceAPIError))


def made(kind: type[errors.ResourceAPIError]) -> errors.ResourceAPIError:
    """An error with something in it that nobody must see."""
    arguments: dict[type[errors.ResourceAPIError], tuple[object, ...]] = {
        errors.ConfigurationError: (["evil"],),
        errors.InvalidToken: ("1 shape", "evil"),
        errors.InsufficientAuthentication: (("gold",), 300, "evil"),
        errors.InsufficientClaims: ({"access_token": {}}, "evil"),
        errors.InsufficientScope: (("A",), "evil"),
        errors.InvalidInput: ({"description": "is too long"},),
        errors.MethodNotAllowed: (("GET",), "evil"),
    }
    return kind(*arguments.get(kind, ("evil",)))  # type: ignore[arg-type]  # each class takes its own


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_problem(kind: type[errors.ResourceAPIError]) -> None:
    """A class that can be raised has a status and a type, its detail stays in the log, and it is in the drawing."""
    response = problems.render(made(kind), {"state": {"trace_id": "t"}})
    assert response.media_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert b"evil" not in bytes(response.body) + str(response.headers).encode()
    assert re.search(rf"── {kind.__name__}\b", errors.__doc__ or "")


def test_every_problem_is_documented() -> None:
    """docs/errors.md has a heading for each of the API's slugs with its status, and for no other."""
    text = (Path(__file__).parents[2] / "docs/errors.md").read_text(encoding="utf-8")
    documented = {slug: int(status) for slug, status in re.findall(r"^### (\S+)\n\n\*(\d+)\*", text, re.MULTILINE)}
    assert documented == {slug: status for status, slug in problems.TABLE.values()}


def test_types_are_their_own() -> None:
    """No two classes share a problem type, and no class that only groups others has one."""
    slugs = [slug for _, slug in problems.TABLE.values()]
    assert len(slugs) == len(set(slugs))
    assert set(problems.TABLE) == set(ALL)


@pytest.mark.parametrize("kind", list(leaves(errors.Unavailable)), ids=lambda kind: kind.__name__)
def test_an_outage_is_no_refusal(kind: type[errors.ResourceAPIError]) -> None:
    """An outage is 503 with Retry-After and without a challenge."""
    response = problems.render(made(kind), {})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "WWW-Authenticate" not in response.headers
