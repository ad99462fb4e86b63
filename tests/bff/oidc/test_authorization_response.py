from __future__ import annotations

import pytest

from bff.errors import InvalidAuthorizationResponse
from bff.oidc.messages import AuthorizationResponse

parse = AuthorizationResponse.parse


def test_a_response_with_a_code_is_read() -> None:
    """What the server sends for us arrives; what we do not know is ignored (RFC 6749 4.1.2)."""
    response = parse([("code", "c"), ("state", "s"), ("iss", "https://as"), ("session_state", "x"), ("code[]", "evil")])
    assert (response.state, response.code, response.iss, response.error) == ("s", "c", "https://as", None)


def test_an_error_response_is_read_without_its_text() -> None:
    """The error is a code; the description is read by nobody."""
    response = parse([("error", "access_denied"), ("error_description", "<script>"), ("state", "s")])
    assert (response.error, response.code) == ("access_denied", None)
    assert "script" not in repr(response)


@pytest.mark.req("OA-1", "ATK-8")
@pytest.mark.parametrize("name", ["state", "code", "iss", "error", "error_description", "session_state", "unknown"])
@pytest.mark.parametrize("second", ["same", "other", ""])
def test_no_parameter_comes_twice(name: str, second: str) -> None:
    """Neither a known nor an unknown parameter may be said twice, not even in the same words (RFC 6749 3.1)."""
    pairs = [("state", "s"), ("code", "c"), ("iss", "i"), ("error", "e")]
    pairs = [pair for pair in pairs if pair[0] != name] + [(name, "same"), (name, second)]
    with pytest.raises(InvalidAuthorizationResponse):
        parse(pairs)


@pytest.mark.req("OA-6")
@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("code", "c")],
        [("code", "c"), ("state", "")],
        [("state", "s")],
        [("state", "s"), ("code", "")],
        [("state", "s"), ("code[]", "c")],
        [("state", "s"), ("response", "eyJ.jarm.jwt")],
        [("state", "s"), ("access_token", "implicit")],
        [("State", "s"), ("code", "c")],
    ],
)
def test_what_is_missing_is_an_invalid_response(pairs: list[tuple[str, str]]) -> None:
    """No state, or neither code nor error, is a refusal and never a KeyError."""
    with pytest.raises(InvalidAuthorizationResponse):
        parse(pairs)


@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
@pytest.mark.parametrize("value", ["x" * 10_000, "a\r\nb", "a\x00b", "ü", "\ud800", "a\x7fb"])
def test_what_no_server_sends_is_refused(name: str, value: str) -> None:
    """Each value is bounded and of the characters its standard allows (RFC 6749 appendix A)."""
    pairs = {"state": "s", "code": "c", name: value}
    with pytest.raises(InvalidAuthorizationResponse) as refusal:
        parse(list(pairs.items()))
    assert value not in str(refusal.value)


def test_a_crowd_of_parameters_is_refused() -> None:
    """A thousand parameters are not a response to our request."""
    with pytest.raises(InvalidAuthorizationResponse):
        parse([("state", "s"), ("code", "c"), *((f"p{n}", "x") for n in range(1000))])


def test_a_code_as_long_as_entras_is_read() -> None:
    """Real codes run to kilobytes."""
    assert parse([("state", "s"), ("code", "c" * 8000)]).code == "c" * 8000


@pytest.mark.req("ATK-59")
def test_a_response_does_not_show_its_code() -> None:
    """Neither code nor state appears in a repr."""
    assert "canary" not in repr(parse([("state", "canary-s"), ("code", "canary-c")]))
