"""JSON with one meaning, and nothing else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from resource_api.security.strict_json import MAX_DEPTH, UnclearJSONError, parse_object

DEEPEST = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.req("ATK-52")
@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{",
        b'{"a":1}x',
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":{"a":1,"a":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":' + b"9" * 20 + b"}",
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":01}',
        b'{"a":.5}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\t"}',
        b'{"a":1}\x00',
        b"\xef\xbb\xbf{}",
        b"\x0b{}",
        b"{}\x0c",
        b"\xc2\xa0{}",
        b"{}\xe2\x80\xa8",
        b" \t\r\n",
        b'{"a":' + DEEPEST + b"}",
        b'{"a":' + b"[" * 100_000,
        b'{"a":"' + b"[" * 20 + b'","b":' + b"[" * 17 + b"]" * 17 + b"}",
    ],
    ids=lambda document: repr(document[:32]),
)
def test_unclear_json(document: bytes) -> None:
    """What is no object, or could be read in two ways, raises one declared error that quotes nothing of it."""
    with pytest.raises(UnclearJSONError) as refusal:
        parse_object(document)
    assert len(str(refusal.value)) < 30


@pytest.mark.parametrize("document", [b"{}", DEEPEST, b'{"a":"' + b"[{" * 50 + b'\\"]"}', b'{"a":"\\ud83d\\ude00"}'])
def test_clear_json(document: bytes) -> None:
    """Sixteen levels are taken, and brackets within strings are none."""
    assert parse_object(document) == json.loads(document)


@pytest.mark.req("ATK-52")
@examples(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_what_json_writes_is_read(value: dict[str, object]) -> None:
    """Every ordinary object comes back as it was."""
    document = json.dumps(value, ensure_ascii=False).encode()
    assert parse_object(document) == value


@pytest.mark.req("ATK-52")
@examples(max_examples=150, deadline=None)
@given(st.binary())
def test_bytes_raise_nothing_else(document: bytes) -> None:
    """No bytes raise anything but UnclearJSONError."""
    with contextlib.suppress(UnclearJSONError):
        assert isinstance(parse_object(document), dict)
