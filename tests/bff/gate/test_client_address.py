"""The caller's address is the socket's, unless a proxy that we trust says otherwise."""

from __future__ import annotations

import pytest

from bff.errors import ConfigurationError
from bff.gate.client_address import ClientAddress


def forwarded(value: str) -> list[tuple[bytes, bytes]]:
    """One X-Forwarded-For field."""
    return [(b"x-forwarded-for", value.encode())]


@pytest.mark.req("ATK-36", "BCP-18")
@pytest.mark.parametrize(
    ("trusted", "peer", "said", "expected"),
    [
        ([], "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (["10.0.0.0/8"], "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.1", "198.51.100.1"),
        (["10.0.0.0/8"], "10.0.0.2", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.1, 10.0.0.3", "198.51.100.1"),
        (["10.0.0.0/8"], "10.0.0.2", "evil, 10.0.0.3", "10.0.0.3"),
        (["10.0.0.0/8"], "10.0.0.2", "", "10.0.0.2"),
        (["::1"], "::1", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_only_trusted_proxies_are_believed(trusted: list[str], peer: str, said: str, expected: str) -> None:
    """From the right, the first address that no trusted proxy has; a browser's own claim counts for nothing."""
    assert ClientAddress(trusted).of(peer, forwarded(said)) == expected


def test_a_network_that_is_none_stops_the_start() -> None:
    """A trusted proxy is an address or a network; anything else is named with its cure."""
    with pytest.raises(ConfigurationError, match=r"trusted_proxies.*Cure"):
        ClientAddress(["the-proxy"])
