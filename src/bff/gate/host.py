"""The one name this server answers to: ``public_url``'s, never what a Host field claims (ATK-38, RFC 9110 7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bff.errors import MalformedRequest, MisdirectedRequest
from bff.fields import fields_of

# Asked by machines that know an address and no name; they answer nothing about anybody.
PROBES: Final = frozenset({b"/livez", b"/readyz", b"/metrics"})


class PublicName:
    """Compares Host with the authority of the public origin (``http://localhost:3000``), byte for byte."""

    def __init__(self, origin: str) -> None:
        self._authority = urlsplit(origin).netloc.encode("ascii")

    def check(self, scope: Mapping[str, Any]) -> None:
        """Pass, or raise MisdirectedRequest (MalformedRequest where there is not exactly one Host). Probes pass."""
        host = fields_of(scope["headers"]).only(b"host")
        if host is None:
            raise MalformedRequest("not exactly one Host")
        if host != self._authority and scope["raw_path"] not in PROBES:
            raise MisdirectedRequest(f"asked for another host than {self._authority.decode()}")
