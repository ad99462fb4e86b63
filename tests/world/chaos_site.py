"""The site that faults are done to, its browsers, and how they are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.world.chaos import LONG, PATIENCE, SHORT, Row
from tests.world.page_calls import Call, Reply
from tests.world.replicas import Replicas
from tests.world.stores import Stores

Jar = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fate:
    """Why a session is not served at last, or None; and for how many seconds its answers told of a fault."""

    reason: str | None
    seconds: float


@dataclass
class Site:
    """The replicas of one mode, their stores, and browsers."""

    replicas: Replicas
    stores: Stores

    def row(self, fault: str, rounds: int) -> Row:
        """An empty one."""
        return Row(fault, self.replicas.mode, rounds)

    async def begin(self, jar: Jar, replica: int, path: str = "/api/x", *, upload: int | None = None) -> Call:
        """Send one call of the page to one replica."""
        host = self.replicas.public_url.removeprefix("http://")
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        port = self.replicas.ports[replica % self.replicas.count]
        return await Call.begin(port, path, host, cookie, upload=upload)

    async def call(self, jar: Jar, replica: int, path: str = "/api/x") -> Reply:
        """Send it, and keep what comes back in the jar as it arrives."""
        reply = await (await self.begin(jar, replica, path)).answer()
        for name, value in reply.cookies:
            jar.pop(name, None)
            if value is not None:
                jar[name] = value
        return reply

    async def jars(self, count: int, *, lifetime: int) -> list[Jar]:
        """Browsers that have just signed in, with access tokens of so many seconds."""
        self.replicas.world("lifetime", lifetime)
        with ThreadPoolExecutor(4) as pool:
            loop = asyncio.get_running_loop()
            return list(
                await asyncio.gather(*(loop.run_in_executor(pool, self.replicas.sign_in) for _ in range(count)))
            )

    async def expired(self, count: int) -> list[Jar]:
        """The same, a moment after their tokens ended; what is refreshed from now on lives long."""
        jars = await self.jars(count, lifetime=SHORT)
        await asyncio.sleep(SHORT + 0.1)
        self.replicas.world("lifetime", LONG)
        return jars

    async def held(self, world: Callable[..., dict[str, Any]], what: str, count: int) -> None:
        """Wait until so many answers are held back."""
        deadline = time.monotonic() + PATIENCE
        while (held := world("record")["held"][what]) < count:
            assert time.monotonic() < deadline, f"{what}: {held} of {count}"
            await asyncio.sleep(0.05)

    async def fates(self, jars: list[Jar]) -> list[Fate]:
        """Call for each until it is served, or signed out, or nobody would wait any longer."""

        async def fate(number: int, jar: Jar) -> Fate:
            began, told = time.monotonic(), 0.0
            while True:
                answer = await self.call(jar, number)
                if answer.status == 200:
                    return Fate(None, told)
                told = time.monotonic() - began
                if answer.status == 401 or told > PATIENCE:
                    return Fate(answer.reason, told)
                await asyncio.sleep(0.1)

        return await asyncio.gather(*(fate(number, jar) for number, jar in enumerate(jars)))

    async def logged_out(self, jars: list[Jar]) -> list[str]:
        """The reasons of those who are not served."""
        return [fate.reason for fate in await self.fates(jars) if fate.reason is not None]


@asynccontextmanager
async def watched(site: Site, jars: list[Jar], statuses: list[tuple[float, int]]) -> AsyncIterator[None]:
    """Every session calls every replica in turn while the block runs; when and how each was answered."""
    done = asyncio.Event()

    async def page(number: int, jar: Jar) -> None:
        replica = number
        while not done.is_set():
            replica += 1
            with suppress(OSError, TimeoutError):
                answer = await site.call(jar, replica)
                statuses.append((time.monotonic(), answer.status))
            await asyncio.sleep(0.05)

    pages = [asyncio.create_task(page(number, jar)) for number, jar in enumerate(jars)]
    try:
        yield
    finally:
        done.set()
        await asyncio.gather(*pages)


async def recovered(statuses: list[tuple[float, int]], ended: float, calls: int) -> float:
    """Seconds from the fault's end to the last answer that still told of it, seen ``calls`` good ones later."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        bad = [at for at, status in statuses if at > ended and status != 200]
        last = max(bad, default=ended)
        if sum(at > last for at, _ in statuses) >= calls:
            return last - ended
    raise AssertionError(f"no recovery: {statuses[-20:]}")
