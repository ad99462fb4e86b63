"""A new connection to an upstream: its name resolved anew, and every address tried in its turn (RFC 8305 4)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import TypeVar

from bff.errors import ResourceAPIUnavailable
from bff.relay.route import UpstreamAddress

P = TypeVar("P", bound=asyncio.Protocol)


async def dial(
    address: UpstreamAddress,
    tls: ssl.SSLContext | None,
    make: Callable[[], P],
    *,
    now: Callable[[], float],
    until: float,
) -> P:
    """What ``make`` makes, connected; ``until`` is an instant of ``now``, a monotonic clock.

    Each address has its share of the time that is left. Raises ResourceAPIUnavailable where none answers.
    """
    loop, host, failure = asyncio.get_running_loop(), address.host.strip("[]"), "no address"
    try:
        async with asyncio.timeout(until - now()):
            found = await _addresses(host, address.port)
        for tried, one in enumerate(found):
            try:
                async with asyncio.timeout((until - now()) / (len(found) - tried)):
                    _, protocol = await loop.create_connection(
                        make, one, address.port, ssl=tls, server_hostname=host if tls else None
                    )
                    return protocol
            except (OSError, ssl.SSLError) as error:  # TimeoutError is an OSError
                failure = type(error).__name__
    except OSError as error:
        failure = type(error).__name__
    raise ResourceAPIUnavailable(f"no connection: {failure}")


async def _addresses(host: str, port: int) -> list[str]:
    """Every address of the host, the families in turn, the resolver's first one first."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append(str(address[0]))
    in_turn = chain.from_iterable(zip_longest(*families.values()))
    return list(dict.fromkeys(address for address in in_turn if address is not None))
