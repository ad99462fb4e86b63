"""Ports for processes that must be told one before they start."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """A port whose two successors are free as well."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for offset in range(3):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return port
