from __future__ import annotations

import pytest

from bff.oidc.strict_json import MAX_DEPTH, parse_object

pytestmark = pytest.mark.req("ATK-52")


def nested(depth: int) -> bytes:
    """An object that is ``depth`` lists deep."""
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


def test_an_ordinary_object_is_read() -> None:
    """What a server may say arrives as it was said."""
    assert parse_object('{"a": [1, 2.5, true, null, "ü"], "b": {"c": {}}}'.encode()) == {
        "a": [1, 2.5, True, None, "ü"],
        "b": {"c": {}},
    }


@pytest.mark.parametrize(
    "raw",
    [
        b'{"iss": "good", "iss": "evil"}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"exp": NaN}',
        b'{"exp": Infinity}',
        b'{"exp": -Infinity}',
        b'{"exp": 1e999}',
        b'{"exp": ' + b"9" * 5000 + b"}",
        b'{"sub": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"sub": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        nested(MAX_DEPTH + 1),
        nested(100_000),
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
        b"{} // comment",
        b"[]",
        b'"text"',
        b"null",
        b"",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    """Duplicates, non-numbers, broken text, depth and anything but one object are refused, never repaired."""
    with pytest.raises(ValueError, match=r"."):
        parse_object(raw)


def test_the_deepest_allowed_object_is_read() -> None:
    """The limit is the limit and not one less."""
    assert parse_object(nested(MAX_DEPTH))["a"]


@pytest.mark.req("ATK-59")
@pytest.mark.parametrize("raw", [b'{"refresh_token": "canary"', b'{"refresh_token": "canary\xff"}'])
def test_a_refusal_quotes_nothing_of_its_input(raw: bytes) -> None:
    """An unreadable token answer does not leak through the error that reports it, nor through that error's cause."""
    with pytest.raises(ValueError, match=r"not") as refusal:
        parse_object(raw)
    assert "canary" not in repr(refusal.value)
    assert refusal.value.__suppress_context__
