"""One path, one reading."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.errors import MalformedRequest
from bff.relay.paths import canonical, canonical_query

PASSES = [
    b"/",
    b"/api/",
    b"/api/todolist",
    b"/api/todolist/",
    b"/api/users/a%40b.c",
    b"/api/urn%3Ax%3Ay",
    b"/api/aGk%3D",
    b"/api/%C3%A9",
    b"/api/%c3%a9",
    b"/api/.well-known/x",
    b"/api/...",
    b"/api/a.b",
    b"/api/a..b",
    b"/api/~x",
    b"/api/a:b@c,d=e+f",
    b"/api/!$&'()*",
    b"/api/a%20b",
    b"/api/%2B",
    b"/api/%C2%A0",
]  # fmt: skip — a corpus reads better dense

REFUSED = {
    "traversal": b"/api/../admin",
    "traversal at the end": b"/api/x/..",
    "dot": b"/api/./x",
    "dot at the end": b"/api/.",
    "encoded slash": b"/api/public/..%2fadmin",
    "encoded dots": b"/api/public/%2e%2e/admin",
    "half encoded dots": b"/api/.%2E/admin",
    "parameter": b"/api;x/../admin",
    "semicolon": b"/api/a;b",
    "encoded semicolon": b"/api/a%3Bb",
    "double slash": b"/api//admin",
    "leading double slash": b"//api/x",
    "trailing double slash": b"/api//",
    "second spelling": b"/api/%61dmin",
    "second spelling of ~": b"/api/%7Ex",
    "twice encoded": b"/api/%252e%252e/admin",
    "encoded percent": b"/api/%25",
    "encoded backslash": b"/api/%5C..",
    "backslash": b"/api\\x",
    "NUL": b"/api/%00",
    "line feed": b"/api/%0a",
    "delete": b"/api/%7F",
    "encoded ?": b"/api/%3Fx",
    "encoded #": b"/api/%23x",
    "fragment": b"/api/x#y",
    "question mark": b"/api/x?y",
    "overlong": b"/api/%c0%ae",
    "half a character": b"/api/%C3",
    "surrogate": b"/api/%ED%A0%80",
    "raw byte": b"/api/\xc3\xa9",
    "space": b"/api/a b",
    "quote": b'/api/"',
    "angle": b"/api/<x>",
    "brace": b"/api/{x}",
    "pipe": b"/api/a|b",
    "caret": b"/api/^",
    "backtick": b"/api/`",
    "bracket": b"/api/[x]",
    "broken triplet": b"/api/%4",
    "no triplet": b"/api/%zz",
    "tab": b"/api/\t",
    "newline at the end": b"/api/x\n",
    "no slash": b"api/x",
    "nothing": b"",
    "asterisk": b"*",
    "absolute": b"http://evil/",
}  # fmt: skip — the same


@pytest.mark.req("F37", "BBA-13", "BBA-15")
@pytest.mark.parametrize("raw", PASSES)
def test_what_browsers_send_crosses_byte_for_byte(raw: bytes) -> None:
    """A path with one reading is its own canonical form."""
    assert canonical(raw) is raw


@pytest.mark.req("F37", "BBA-13", "ATK-31")
@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_a_path_with_two_readings_is_malformed(raw: bytes) -> None:
    """Traversal, hidden separators, second spellings and broken encodings are refused, never repaired."""
    with pytest.raises(MalformedRequest):
        canonical(raw)


@pytest.mark.req("F37", "ATK-31")
@pytest.mark.parametrize(
    "raw", [b"/api/a%2Fb", b"/api/a%2fb/c", b"/api/%2F", b"/api/https%3A%2F%2Fx.example%2Fy", *PASSES]
)
def test_an_encoded_slash_crosses_where_it_is_asked_for(raw: bytes) -> None:
    """Byte for byte, like every other triplet."""
    assert canonical(raw, encoded_slash=True) is raw


@pytest.mark.req("F37", "BBA-13", "ATK-31")
@pytest.mark.parametrize(
    "raw", [*REFUSED.values(), b"/api/a%2F..", b"/api/.%2fa", b"/api/a%2F.%2Fb", b"/api/%2F..%2F", b"/api/a%252Fb"]
)
def test_an_encoded_slash_excuses_nothing_else(raw: bytes) -> None:
    """No other hidden separator passes with it, and no dot segment as a reader would see it who decodes."""
    with pytest.raises(MalformedRequest):
        canonical(raw, encoded_slash=True)


@pytest.mark.req("F37")
@given(st.text(min_size=1, max_size=8).filter(lambda text: not set(text) & set("/\\%?#;\x7f") and min(text) >= " "))
def test_an_encoded_component_always_crosses(text: str) -> None:
    """Whatever a page encodes as one segment passes, unless it is a dot segment or hides a separator."""
    try:
        segment = quote(text, safe="!$&'()*+,=:@").encode()
    except UnicodeEncodeError:  # a lone surrogate is no text that a browser could send
        return
    if segment not in {b".", b".."}:
        assert canonical(b"/api/" + segment) == b"/api/" + segment


@pytest.mark.req("F37", "ATK-31")
@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"/", b".", b"..", b"%2e", b"%2F", b"%5c", b"a", b"%41", b"%C3%A9", b";", b"%25", b"\\", b"//", b":"]
        ),
        max_size=9,
    )
)
def test_what_passes_is_left_alone_by_the_next_url_parser(parts: list[bytes]) -> None:
    """A library that resolves dot segments and re-quotes finds nothing to do in a canonical path."""
    raw = b"/api/" + b"".join(parts)
    try:
        path = canonical(raw)
    except MalformedRequest:
        return
    assert httpx.URL("http://api.example").copy_with(raw_path=path).raw_path == path
    assert httpx.URL("http://api.example").join(path.decode()).raw_path == path


@pytest.mark.req("F37")
@pytest.mark.parametrize("query", [b"", b"a=b&c=%2F%00", b"x=\"<>{}|^`'\\", b"?", b"//..;"])
def test_a_printable_query_crosses_byte_for_byte(query: bytes) -> None:
    """The query is the API's own: printable ASCII is not judged."""
    assert canonical_query(query) is query


@pytest.mark.req("F37")
@pytest.mark.parametrize("query", [b"a b", b"a#b", b"a\x00", b"a\xe9", b"a\x7f", b"a\r\nb", b"a\n"])
def test_any_other_byte_in_a_query_is_malformed(query: bytes) -> None:
    """White space, controls, ``#`` and raw non-ASCII bytes are no query (RFC 3986 3.4)."""
    with pytest.raises(MalformedRequest):
        canonical_query(query)
