"""Log lines as JSON objects on stderr, ours and the libraries', with a net under every secret.

The first net is that no token and no claim is ever handed to a logger; this one cuts whatever still looks like a token.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_LOOKS_SECRET = re.compile(
    r"eyJ[\w-]{8,}(?:\.[\w-]*){0,4}|(?i:\b(?:bearer|basic)\s+[\w.~+/=-]{8,})|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)
_OWN_FIELDS = ("problem", "status", "detail", "trace_id", "issuer", "keys")
_QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "alembic.runtime.plugins": logging.WARNING,
    "uvicorn.error": logging.INFO,
}


def cut_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace whatever looks like a token, credentials or a URL's password, in any text value."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _LOOKS_SECRET.sub("[secret]", value)
    return event


def configure_logging(level: str = "INFO", *, console: bool = False) -> None:
    """Send every line to stderr, a JSON object each, or plain words for a terminal. Loud libraries stay quiet."""
    # Plain tracebacks: the prettier ones print local variables, and some of those hold tokens.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        cut_secrets,
        plain if console else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # Not cached: whoever configures logging later, a team or a test, is heard by every logger.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=_OWN_FIELDS), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelNamesMapping()[level]))
