"""Log lines as JSON objects, with a trace id in each and a second net under every secret.

The first net is that no secret is ever handed to a logger; the second one cuts whatever still looks like a token.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

trace_id: ContextVar[str] = ContextVar("trace_id", default="-")

# A JWT, a long random value, or a parameter that carries one: these shapes never belong into a log line.
_LOOKS_SECRET = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]*\.?[\w-]*"
    r"|(?i:\b(?:code|state|nonce|code_verifier|refresh_token|access_token|id_token|client_secret|client_assertion)=[^&\s'\"]+)"
    r"|(?i:\b(?:bearer|basic)\s+[\w.~+/=-]{8,})"
    r"|(?i:\bcookie:\s*\S+)"
)


def cut_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace whatever looks like a secret in any text value."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _LOOKS_SECRET.sub("[secret]", value)
    return event


def add_trace_id(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the trace id of the request into the line, so that a problem's ``trace_id`` finds it."""
    event.setdefault("trace_id", trace_id.get())
    return event


class _CutSecrets(logging.Filter):
    """The same net under the standard library's records, where libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        record.msg, record.args = _LOOKS_SECRET.sub("[secret]", message), ()
        return True


def configure_logging(level: str = "INFO", *, console: bool = False) -> None:
    """Send every line, ours and the libraries', to stderr: one JSON object a line, or plain words for a terminal."""
    # Plain tracebacks: the prettier ones print local variables, and some of those hold tokens.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer = plain if console else structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        add_trace_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, cut_secrets, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # Not cached: whoever configures logging later, a team or a test, is heard by every logger.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_CutSecrets())
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            cut_secrets,
            renderer,
        ],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger of ours; events are words with underscores, details are keyword arguments."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name)
    return logger
