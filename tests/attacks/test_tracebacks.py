"""Tracebacks: a fault of our own is logged with its lines, and without the values of its variables."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from bff.telemetry.logs import configure_logging, get_logger

TOKEN = "a-refresh-token-that-nobody-may-see"


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging as it was, whatever a test makes of it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def break_with_a_token_at_hand() -> None:
    """A fault in a frame whose variables hold a token, written by our logger and by a library's."""
    refresh_token = TOKEN
    try:
        len(refresh_token) / 0
    except ZeroDivisionError as error:
        get_logger("canary").error("internal_error", exc_info=error)
        logging.getLogger("a.library").exception("it broke")


@pytest.mark.req("ATK-59")
@pytest.mark.parametrize("console", [False, True])
def test_no_traceback_shows_a_variable(console: bool, restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    """In JSON and in plain words, from our loggers and from the libraries', locals are off."""
    configure_logging("DEBUG", console=console)
    break_with_a_token_at_hand()
    written = capsys.readouterr().err
    assert written.count("division by zero") >= 2
    assert written.count("break_with_a_token_at_hand") >= 2
    assert TOKEN not in written


@pytest.mark.req("ATK-59")
@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
        "Authorization: Bearer opaque-token-0123456789",
        "https://a.example/cb?code=the-code-1234&state=the-state-1234",
        "cookie: __Host-Http-bff=sealed0123456789",
        "client_secret=k7Qw-2Zt9_bXr4Vn8Lm3",
    ],
)
def test_a_second_net_cuts_what_looks_like_a_secret(
    secret: str, console: bool, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Should a secret ever be handed to a logger, ours or a library's, the line has ``[secret]`` in its place."""
    configure_logging("DEBUG", console=console)
    get_logger("canary").warning("refused", detail=secret)
    logging.getLogger("a.library").warning("sent %s", secret)
    written = capsys.readouterr().err
    assert written.count("[secret]") >= 2
    for part in ("eyJ", "opaque-token", "the-code-1234", "the-state-1234", "sealed0123456789", "k7Qw"):
        assert part not in written
