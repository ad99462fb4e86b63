"""The one name this server answers to: ``public_url``'s, never what a Host field claims (ATK-38, RFC 9110 7.4)."""

from __future__ import annotations

from collections.abc import Iterable

from bff.errors import MalformedRequest, MisdirectedRequest


class PublicHost:
    """Compares Host with the authority of ``public_url`` (``localhost:3000``; no default port), byte for byte."""

    def __init__(self, authority: bytes) -> None:
        self._authority = authority

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Pass, or raise MisdirectedRequest (MalformedRequest where there is not exactly one Host)."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise MalformedRequest("not exactly one Host")
        if hosts[0] != self._authority:
            raise MisdirectedRequest(f"asked for another host than {self._authority.decode()}")
