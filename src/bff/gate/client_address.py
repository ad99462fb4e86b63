"""Whose address a call has: the socket's, or what a proxy that we trust says about its own caller (RFC 7239 5.2).

Only the entries that trusted proxies wrote are believed: from the right, the first address that is not one of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from bff.errors import ConfigurationError

Address = IPv4Address | IPv6Address


class ClientAddress:
    """Knows the trusted proxies by network (``10.0.0.0/8``); raises ConfigurationError for any other text."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted: list[IPv4Network | IPv6Network] = []
        causes = []
        for text in trusted:
            try:
                self._trusted.append(ip_network(text, strict=False))
            except ValueError:
                causes.append(f"server.trusted_proxies: {text!r} is no network. Cure: write it like 10.0.0.0/8")
        if causes:
            raise ConfigurationError(causes)

    def settle(self, scope: MutableMapping[str, Any]) -> None:
        """Let ``scope`` name the caller's address from here on; its port stays the socket's."""
        if self._trusted and scope.get("client"):
            scope["client"] = (self.of(scope["client"][0], scope["headers"]), scope["client"][1])

    def of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The caller's address; ``peer`` is the socket's. What cannot be read ends the search."""
        if not self._trusted:
            return peer
        address = _parsed(peer)
        if address is None or not self._is_trusted(address):
            return peer
        said = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        for entry in reversed(said.decode("latin-1").split(",")):
            following = _parsed(entry.strip())
            if following is None:
                break
            address = following
            if not self._is_trusted(address):
                break
        return str(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted if network.version == address.version)


def network_of(address: str) -> str:
    """Who counts as one: an IPv4 address, however it is written, or the 64 bits of IPv6 that one machine has whole."""
    parsed = _parsed(address) if ":" in address else None
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or f"{IPv6Address(parsed.packed[:8] + bytes(8))}/64")


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
