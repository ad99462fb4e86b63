"""Where the browser goes after sign-in, against a resolver written after the URL standard."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.gate.return_to import MAX_CHARACTERS, local_path

ORIGIN = "https://app.example"

REFUSED = [
    "//evil",
    "/\\evil",
    "/%09/evil",
    "/%2f/evil",
    "\t//evil",
    "/.//evil",
    "///evil",
    "https:evil",
    "/\t/evil",
    "/%5cevil",
    "@evil",
    "https://app.example.com.evil",
    "https://app.example.com@evil",
    "https://app.example.com%00.evil",
    "javascript:alert(1)",
    "data:text/html,x",
    "\u2028//evil",
    "/\u2028/evil",
    "\uff0f\uff0fevil",
    "/\uff0fevil",
    "/..//evil",
    "/../evil",
    "/a/..//evil",
    "/a/%2e%2e//evil",
    "/%2E//evil",
    "/%2e%2E//evil",
    "/.%2e/evil",
    "/\n/evil",
    "/\r/evil",
    "\n/evil",
    " /evil",
    "/ /evil",
    "/\x00/evil",
    "/%00/evil",
    "/%0a/evil",
    "/%0D/evil",
    "/%2Fevil",
    "/%5Cevil",
    "\\/evil",
    "\\\\evil",
    "",
    "evil",
    "?a",
    "#a",
    ".",
    "..",
    "/todos\\x",
    "/todos/\x7f",
    "/\ud800",
    "http://app.example/",
    "https://app.example/",
    "/;@evil/\\",
]  # fmt: skip — a corpus reads better dense

ACCEPTED = {
    "/": "/",
    "/todos": "/todos",
    "/todos/7?filter=open&x=%2F%5C#top": "/todos/7?filter=open&x=%2F%5C#top",
    "/a//b": "/a//b",
    "/a%20b": "/a%20b",
    "/.well-known/x": "/.well-known/x",
    "/...": "/...",
    "/@evil": "/@evil",
    "/https://evil": "/https://evil",
    "/a?next=//evil": "/a?next=//evil",
    "/a#//evil": "/a#//evil",
    '/a"<b>`?c"<\'>#d"`': "/a%22%3Cb%3E%60?c%22%3C%27%3E#d%22%60",
    "/bffx": "/bffx",
    "/apis/": "/apis/",
}


@pytest.mark.req("ATK-5")
@pytest.mark.parametrize("value", REFUSED)
def test_whatever_could_lead_away_is_the_home_page(value: str) -> None:
    """Each known spelling of another origin, and each spelling in doubt, becomes "/"."""
    assert local_path(value) == "/"


@pytest.mark.parametrize(("value", "expected"), ACCEPTED.items())
def test_a_path_of_this_site_keeps_its_meaning(value: str, expected: str) -> None:
    """A local path crosses with its query and fragment, spelled as a browser spells it."""
    assert local_path(value) == expected


@pytest.mark.req("ATK-5")
@pytest.mark.parametrize(
    "value",
    [
        "/bff",
        "/bff/login",
        "/bff/logout?ticket=x",
        "/api/todolist",
        "/API/x",
        "/%62ff/login",
        "/%62%66%66/login",
        "/api",
    ],
)
def test_the_bff_and_the_relay_are_no_places_to_return_to(value: str) -> None:
    """A sign-in never ends at a sign-out, at another sign-in or at raw data, however its name is spelled."""
    assert local_path(value) == "/"


def test_absence_and_excess_are_the_home_page() -> None:
    """No value, and one longer than the limit, are "/"; the limit itself is not."""
    assert local_path(None) == "/"
    assert local_path("/" + "a" * MAX_CHARACTERS) == "/"
    assert len(local_path("/" + "a" * (MAX_CHARACTERS - 1))) == MAX_CHARACTERS


def resolve(reference: str) -> str:
    """Resolve as the URL standard's parser does against ORIGIN (special scheme, ASCII result): the serialised URL."""
    text = re.sub(r"[\t\n\r]", "", reference.strip("".join(map(chr, range(0x21)))))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return text
    text, hash_mark, fragment = text.partition("#")
    text, question_mark, query = text.partition("?")
    text = text.replace("\\", "/")
    if text.startswith("//"):
        return "https://" + text.lstrip("/")
    segments: list[str] = []
    parts = text.removeprefix("/").split("/")
    for position, segment in enumerate(parts):
        folded = segment.lower().replace("%2e", ".")
        if folded == ".." and segments:
            segments.pop()
        if folded in {".", ".."}:
            if position == len(parts) - 1:
                segments.append("")
        else:
            segments.append(segment)
    return ORIGIN + "/" + "/".join(segments) + question_mark + query + hash_mark + fragment


ALPHABET = st.sampled_from(
    [*"/\\.%259aAfFcCeEdD02:@?#;&=\t\n\r\0 \x7f<>\"'`{}^|evil", "%2e", "%2f", "%5c", "%09", "//", "/../", "\u2028", "é"]
)


@pytest.mark.req("ATK-5")
@settings(max_examples=1500, deadline=None)
@given(st.lists(ALPHABET, max_size=12).map("".join))
@example("/.//evil")
@example("/\t/evil")
def test_no_browser_leaves_this_site(value: str) -> None:
    """Whatever comes in, what goes out resolves to this origin, means itself, and is judged the same a second time."""
    path = local_path("/" + value)
    assert resolve(path) == ORIGIN + path
    assert not path.startswith(("//", "/\\"))
    assert path.isascii()
    assert path.isprintable()
    assert local_path(path) == path


def test_the_resolver_knows_the_known_attacks() -> None:
    """The judge of the property above sees the danger in what it would have to refuse."""
    assert not resolve("/\\evil").startswith(ORIGIN)
    assert not resolve("/\t/evil").startswith(ORIGIN)
    assert not resolve("javascript:alert(1)").startswith(ORIGIN)
    assert resolve("/.//evil") == ORIGIN + "//evil"
