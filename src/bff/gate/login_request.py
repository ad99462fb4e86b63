"""What ``GET /bff/login`` may ask for: each parameter once, each value in its pattern (OIDC Core 3.1.2.1)."""

from __future__ import annotations

import re

from bff.errors import InvalidLoginRequest
from bff.gate.return_to import local_path
from bff.oidc.messages import LoginRequest

_PATTERNS = {
    "return_to": re.compile(r"[\s\S]{0,4096}"),  # judged by local_path, which answers doubt with "/"
    "prompt": re.compile(r"none|login|consent|select_account|create"),
    "login_hint": re.compile(r"[^\x00-\x1f\x7f]{1,256}"),
    "acr_values": re.compile(r"[!-~]{1,128}( [!-~]{1,128}){0,7}"),
    "max_age": re.compile(r"\d{1,8}"),
    "ui_locales": re.compile(r"[A-Za-z0-9-]{1,35}( [A-Za-z0-9-]{1,35}){0,7}"),
}


def parse_login_request(pairs: list[tuple[str, str]]) -> LoginRequest:
    """Judge the decoded query of ``/bff/login``; raise InvalidLoginRequest for anything it does not offer."""
    asked: dict[str, str] = {}
    for name, value in pairs:
        pattern = _PATTERNS.get(name)
        if pattern is None:
            raise InvalidLoginRequest("unknown parameter")
        if name in asked:
            raise InvalidLoginRequest(f"{name} came twice")
        if not pattern.fullmatch(value):
            raise InvalidLoginRequest(f"{name} is outside its pattern")
        asked[name] = value
    max_age = asked.pop("max_age", None)
    return LoginRequest(
        return_to=local_path(asked.pop("return_to", None)),
        max_age=None if max_age is None else int(max_age),
        **asked,
    )
