"""The one door to redis-py: commands with time limits, a breaker, and news of every reconnect (rule F12)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as NotConnected
from redis.retry import Retry as BlockingRetry

from bff.clock import Clock
from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.redis_address import RedisAddress
from bff.session.redis_facts import StoreFacts
from bff.session.redis_scripts import Script
from bff.session.redis_tls import VerifiedConnection, VerifiedManagedConnection, context_of, tls_fault_in, tls_faults
from bff.telemetry import metrics
from bff.telemetry.logs import get_logger

PATIENCE: Final = 0.25  # seconds that one question may take (B14)
BLOCK_SECONDS: Final = 0.25  # how long the listener waits for news
CAUTION: Final = 6.0  # seconds in which another primary may not know what was sent (rule F12)
_CONNECTIONS: Final = 16
_WAIT_MS: Final = 100
_FAILURES, _OPEN_SECONDS = 3, 0.5
_PROBE_SECONDS: Final = 1.0

_sentinel: Any = Sentinel  # redis-py leaves these three untyped
_sentinel_pool: Any = SentinelConnectionPool
_blocking_sentinel: Any = redis.Sentinel

_log = get_logger(__name__)


class RedisStore:
    """Asks one Redis or Valkey. Whatever fails is ``SessionStoreUnavailable``; nothing is repeated by itself.

    ``reconnects`` grows with every connection after an interruption, and ``cautious`` is true for 6 s after one led to
    another process than before: a promoted replica, or a restart that may have lost the last second.
    """

    def __init__(self, address: RedisAddress, clock: Clock, *, patience: float = PATIENCE) -> None:
        self.address = address
        self._clock = clock
        self._patience = patience
        self._client, asked = _client(address, self._greet, patience=patience, connections=_CONNECTIONS)
        self._listener, others = _client(address, self._greet, patience=patience + BLOCK_SECONDS, connections=1)
        self._sentinels = [*asked, *others]
        # Redis-py's own pools differ in what they do when they are empty: behind a Sentinel they fail at once.
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        self._breaker = _Breaker(clock)
        self._interrupted = False
        self._cautious_until = 0.0
        self.facts: StoreFacts | None = None
        self.reconnects = 0

    @property
    def cautious(self) -> bool:
        """Whether the primary is so new that what it does not know may have happened all the same."""
        return self._clock.monotonic() < self._cautious_until

    async def ask(self, *command: str | bytes | float) -> Any:  # noqa: ANN401 — a reply has any shape
        """The answer to one command."""
        return await self._guarded(lambda: self._client.execute_command(*command), self._patience)

    async def run(
        self, script: Script, keys: Sequence[bytes], *values: bytes | str | float, lasting: bool = False
    ) -> Any:  # noqa: ANN401 — a reply has any shape
        """What a script answers. ``lasting``: where there is a replica, wait up to 100 ms for it to have the write."""
        replicated = lasting and self.facts is not None and self.facts.replicas > 0

        async def once() -> Any:  # noqa: ANN401 — the same
            try:
                return await self._evaluate("EVALSHA", script.digest, keys, values, replicated=replicated)
            except NoScriptError:
                return await self._evaluate("EVAL", script.text, keys, values, replicated=replicated)

        return await self._guarded(once, self._patience + (_WAIT_MS / 1000 if replicated else 0.0))

    async def listen(self, *command: str | bytes | float) -> Any:  # noqa: ANN401 — the same
        """The answer to a command that blocks, on a connection of its own; its success closes the breaker."""
        answer = await self._translated(
            lambda: self._listener.execute_command(*command), self._patience + BLOCK_SECONDS
        )
        self._breaker.succeeded()
        return answer

    async def look(self) -> StoreFacts:
        """What the server says of itself now; one that is no primary any more is left (rule F12)."""
        facts = StoreFacts.read(_text(await self.listen("INFO")))
        if not facts.is_primary:
            await self._leave()
            raise SessionStoreUnavailable("the store is a replica now")
        self._learn(facts)
        return facts

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose(close_connection_pool=True)
        await self._listener.aclose(close_connection_pool=True)
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _evaluate(
        self,
        command: str,
        script: str,
        keys: Sequence[bytes],
        values: Sequence[bytes | str | float],
        *,
        replicated: bool,
    ) -> Any:  # noqa: ANN401 — a reply has any shape
        words = (command, script, len(keys), *keys, *values)
        if not replicated:
            return await self._client.execute_command(*words)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*words)
            pipe.execute_command("WAIT", 1, _WAIT_MS)
            answer, acknowledged = await pipe.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        if acknowledged == 0:
            metrics.store_unreplicated.inc()
        return answer

    async def _guarded(self, work: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 — the same
        self._breaker.admit()

        async def in_turn() -> Any:  # noqa: ANN401 — the same
            async with self._turns:
                return await work()

        try:
            answer = await self._translated(in_turn, seconds)
        except SessionStoreUnavailable:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return answer

    async def _translated(self, work: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 — the same
        """A library's exceptions end here. The message may quote a command, so only its kind goes on.

        redis-py bounds each answer; a connection that has to be made first may take as long again.
        """
        try:
            async with asyncio.timeout(seconds + self._patience):
                return await work()
        except ReadOnlyError as error:
            await self._leave()
            raise self._outage("it is a replica now") from error
        except (RedisError, OSError, TimeoutError) as error:
            raise self._outage(tls_fault_in(error) or type(error).__name__) from error

    def _outage(self, what: str) -> SessionStoreUnavailable:
        self._interrupted = True
        metrics.store_failures.inc()
        return SessionStoreUnavailable(f"the session store does not answer: {what}")

    async def _leave(self) -> None:
        """Drop every connection: the next ones ask anew who the primary is."""
        self._interrupted = True
        await self._client.connection_pool.disconnect()
        await self._listener.connection_pool.disconnect()

    async def _greet(self, connection: Connection) -> None:
        """On every new connection: who is there, whether we can work with it, and whether it is the one from before."""
        await connection.on_connect()
        await connection.send_command("INFO")
        facts = StoreFacts.read(_text(await connection.read_response()))
        if not facts.is_primary:
            raise NotConnected("a replica answers")
        if faults := facts.faults():
            _log.error("session_store_unusable", faults=faults)
            raise ResponseError("the store cannot keep sessions")
        self._learn(facts)

    def _learn(self, facts: StoreFacts) -> None:
        known, self.facts = self.facts, facts
        is_another = known is not None and known.run != facts.run
        if is_another:
            self._cautious_until = self._clock.monotonic() + CAUTION
            _log.warning("session_store_changed", caution_seconds=CAUTION)
        if is_another or (self._interrupted and known is not None):
            self.reconnects += 1
        self._interrupted = False


class _Breaker:
    """After three failures in a row nobody waits: one question each half second finds out whether it is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def admit(self) -> None:
        """Raise at once while it is open."""
        if self._failures < _FAILURES:
            return
        now = self._clock.monotonic()
        if now < self._open_until:
            raise SessionStoreUnavailable("the session store has not answered lately")
        self._open_until = now + _OPEN_SECONDS

    def failed(self) -> None:
        """One more."""
        self._failures += 1
        if self._failures == _FAILURES:
            self._open_until = self._clock.monotonic() + _OPEN_SECONDS

    def succeeded(self) -> None:
        """Start counting anew."""
        self._failures = 0


def probe(address: RedisAddress) -> StoreFacts | None:
    """What the store says of itself, asked once and waited for; None where it does not answer (at the start only).

    Raises ``ConfigurationError`` where it does and will not have us, or we refuse its certificate.
    """
    if faults := tls_faults(address):
        raise ConfigurationError(faults)
    limits: dict[str, Any] = {"socket_timeout": _PROBE_SECONDS, "socket_connect_timeout": _PROBE_SECONDS}
    options = {**_options(address), **limits, "retry": BlockingRetry(NoBackoff(), 0)}
    try:
        if address.service is None:
            host, port = address.hosts[0]
            client: Any = redis.Redis(host=host, port=port, ssl=address.tls, **options)
        else:
            asked = {**limits, "ssl": address.tls} | ({"ssl_ca_certs": address.ca_file} if address.tls else {})
            sentinels: Any = _blocking_sentinel(list(address.hosts), sentinel_kwargs=asked, **options)
            client = sentinels.master_for(address.service, ssl=address.tls)
        with client:
            client.set_response_callback("INFO", lambda reply, **_: _text(reply))
            return StoreFacts.read(client.execute_command("INFO"))
    except AuthenticationError as error:
        cause = (
            "session.redis_url: its credentials are refused. Cure: redis://USER:PASSWORD@HOST, as the server knows them"
        )
        raise ConfigurationError([cause]) from error
    except (RedisError, OSError):
        return None


def _client(address: RedisAddress, greet: Any, *, patience: float, connections: int) -> tuple[Any, list[Any]]:  # noqa: ANN401 — redis-py's own types are incomplete
    """A client that repeats nothing by itself, and those of the Sentinels that it asks for the primary."""
    options: dict[str, Any] = {
        **_options(address),
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "redis_connect_func": greet,
    }
    if address.tls:
        options["context"] = context_of(address)
    client: Any
    sentinels: list[Any] = []
    if address.service is None:
        host, port = address.hosts[0]
        kind = VerifiedConnection if address.tls else Connection
        pool = BlockingConnectionPool(
            max_connections=connections, timeout=PATIENCE, connection_class=kind, host=host, port=port, **options
        )
        client = Redis(connection_pool=pool)
    else:
        asked: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "ssl": address.tls}
        found = _sentinel(list(address.hosts), sentinel_kwargs=asked)
        sentinels = found.sentinels
        if address.tls:
            options["connection_class"] = VerifiedManagedConnection
            for sentinel in sentinels:
                sentinel.connection_pool.connection_class = VerifiedConnection
                sentinel.connection_pool.connection_kwargs["context"] = options["context"]
        client = Redis(connection_pool=_sentinel_pool(address.service, found, max_connections=connections, **options))
    client.set_response_callback("INFO", lambda reply, **_: reply)
    return client, sentinels


def _options(address: RedisAddress) -> dict[str, Any]:
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "protocol": 2,
    }
    if address.tls:
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": address.ca_file}
    return options


def _text(reply: object) -> str:
    if isinstance(reply, Exception):
        raise reply
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
