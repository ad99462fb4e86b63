"""What must never be seen: every secret that crossed the wire in a story, and where to look for it."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import structlog

from tests.world.house import ADA, AUTHORITY_ORIGIN, SECRET, House
from tests.world.internet import Exchange

JWT = re.compile(r"eyJ[\w-]{6,}\.[\w-]{6,}")
TOKENS = {"access_token", "refresh_token", "id_token", "code", "code_verifier", "client_secret", "token", "password"}
FRONT_CHANNEL = {"state", "code"}  # the nonce is a claim of the ID token, which the page may show
SHORTEST = 12


@dataclass
class Secrets:
    """``always`` may be nowhere; ``travelling`` may be in a redirect, on whose address the protocol puts it."""

    always: set[str] = field(default_factory=set)
    travelling: set[str] = field(default_factory=set)
    cookies: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, house: House) -> Secrets:
        """All secrets of a story that was told in this house."""
        basic = base64.b64encode(f"{house.bff_client_id}:{quote(SECRET)}".encode()).decode()
        keys = json.loads((house.folder / "keys.json").read_text())
        found = cls(always={SECRET, basic, ADA.password, *_texts(keys)})
        for one in house.internet.exchanges:
            found._read(one, at_authority=one.url.startswith(AUTHORITY_ORIGIN))
        found.always = {secret for secret in found.always if len(secret) >= SHORTEST} - found.travelling
        return found

    def _read(self, one: Exchange, *, at_authority: bool) -> None:
        pairs = parse_qsl(urlsplit(one.url).query) + parse_qsl(urlsplit(one.response.headers.get("location", "")).query)
        self.travelling |= {value for name, value in pairs if name in FRONT_CHANNEL and len(value) >= SHORTEST}
        if at_authority:
            form = parse_qsl(one.request_body.decode("latin-1"))
            self.always |= {value for name, value in form if name in TOKENS}
            if one.url.endswith("/token") and one.response.is_success:
                self.always |= {value for name, value in _members(one) if name in TOKENS}
            return
        lines = one.response.headers.get_list("set-cookie")
        values = {line.partition("=")[2].partition(";")[0] for line in lines}
        self.cookies |= {value for value in values if len(value) >= SHORTEST}

    def in_text(self, text: str, *, redirect: bool = False, cookie: bool = False) -> list[str]:
        """The secrets that a text shows, each cut short so that a failing test does not show it either."""
        looked_for = self.always | (set() if redirect else self.travelling) | (set() if cookie else self.cookies)
        shown = [secret for secret in looked_for if secret in text] + JWT.findall(text)
        return [f"{secret[:6]}…" for secret in shown]


def _members(one: Exchange) -> Iterable[tuple[str, str]]:
    try:
        content = one.response.json()
    except ValueError:
        return []
    return [(name, value) for name, value in content.items() if isinstance(value, str)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in {"id", "use_from"}:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


class _Everything(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self._formatter.format(record))


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Every line of every logger at DEBUG, as the logger is handed it: before anything is cut from it."""
    root, handler = logging.getLogger(), _Everything()
    levels = {name: logging.getLogger(name).level for name in [None, *logging.root.manager.loggerDict]}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    # A command that ran in this process before may have configured a level; here nothing is below hearing.
    before = structlog.get_config()
    structlog.configure(**{**before, "wrapper_class": structlog.make_filtering_bound_logger(logging.DEBUG)})
    try:
        with structlog.testing.capture_logs() as events:
            yield handler.lines
            handler.lines += [_written(event) for event in events]
    finally:
        structlog.configure(**before)
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _written(event: Any) -> str:
    error = event.get("exc_info")
    if isinstance(error, BaseException):
        text = logging.Formatter().formatException((type(error), error, error.__traceback__))
        return f"{event!r} {text}"
    return repr(event)
