"""Login transactions: one sealed cookie each, spent once, and the count of sign-ins that led nowhere."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bff.errors import LoginError, SessionStoreUnavailable, Unavailable, UnknownLogin
from bff.oidc.messages import LoginTransaction
from bff.session.cipher import Cipher, open_under, seal_under
from bff.session.cookies import CookiePolicy, Jar, SameSite, SetCookie
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_login
from bff.session.packing import pack_transaction, unpack_transaction
from bff.session.signed import Stamp, same
from bff.session.vault import CookieBudget, Landing
from bff.telemetry.logs import get_logger

LOGIN_SECONDS = 600
_MOST = 8
_FORM_POST = b"\x01"
_ELSEWHERE = b"\x00"
_FAILED = b""
_POLLS, _POLL = 200, 0.05  # a second delivery waits 10 s for the first one's landing in another worker
_LOOP_SECONDS = 30
_CHAIN = re.compile(r"(\d{1,3})-(\d{1,15})-(\d{1,15})")  # how many, the first and the last one's instant in ms

_log = get_logger(__name__)
_landings = msgspec.msgpack.Decoder(tuple[str, list[tuple[str, bytes, bool, SameSite, int | None]]])


@dataclass(frozen=True, slots=True)
class _Flight:
    landing: asyncio.Task[Landing]
    until: float


class LoginCookies:
    """The half of a vault that outlives the trip to the authorization server, wherever sessions lie."""

    def __init__(
        self, policy: CookiePolicy, cipher: Cipher, ledger: Ledger, budget: CookieBudget, *, form_post: bool
    ) -> None:
        self.policy = policy
        self.budget = budget
        self._form_post = form_post
        self._cipher = cipher
        self._clock = cipher.clock
        self._ledger = ledger
        self._loop_stamp = Stamp(cipher, "loop")
        self._flights: dict[LoginTransaction, _Flight] = {}

    @property
    def cipher(self) -> Cipher:
        """What seals here: the list of sessions is sealed with the same ring."""
        return self._cipher

    async def keep_login(self, transaction: LoginTransaction, jar: Jar) -> list[SetCookie]:
        """Seal a transaction into its own cookie: Lax, or None where the answer comes as a cross-site POST.

        Beyond eight transactions, or beyond the budget of all cookies together, the oldest ones are dropped (ATK-9).
        """
        name = self.policy.transaction(transaction.state)
        if name is None:
            raise ValueError("a state of ours is base64url")
        payload = (_FORM_POST if self._form_post else _ELSEWHERE) + pack_transaction(transaction)
        value = self._cipher.sealer("login", name).seal(payload)
        kept = self.policy.cookie(name, value, same_site="None" if self._form_post else "Lax", max_age=LOGIN_SECONDS)
        return [kept, *self._dropped(jar, name, len(name) + 1 + len(value))]

    async def take_login(self, jar: Jar, state: str) -> tuple[LoginTransaction, list[SetCookie]]:
        """The transaction that this browser began with this ``state``, and its deletion; raises ``UnknownLogin``."""
        name = self.policy.transaction(state)
        found = None if name is None else self._opened(jar, name)
        if name is None or found is None or not same(found[0].state, state):
            raise UnknownLogin
        return found[0], [self.policy.deletion(name, same_site=found[1])]

    async def once(self, transaction: LoginTransaction, make: Callable[[], Awaitable[Landing]]) -> Landing:
        """Run ``make`` once per transaction; its caller may go away, every other delivery gets the same landing (F18).

        What ``make`` raises every delivery gets too, but for an outage: that leaves the transaction as it was.
        """
        now = self._clock.monotonic()
        self._flights = {known: flight for known, flight in self._flights.items() if flight.until > now}
        flight = self._flights.get(transaction)
        if flight is None:
            task = asyncio.create_task(self._land(transaction, make))
            task.add_done_callback(_retrieve)
            flight = self._flights[transaction] = _Flight(task, now + LOGIN_SECONDS)
        return await asyncio.shield(flight.landing)

    def login_attempts(self, jar: Jar, transaction: LoginTransaction) -> tuple[int, SetCookie]:
        """How many sign-ins, each begun after the one before had finished, ended within 30 s without a session.

        Tabs that sign in side by side are no loop, and neither is a sign-in that began with a session.
        """
        now = int(self._clock.now() * 1000)
        count, first, last = self._chain(jar)
        follows = count > 0 and last <= transaction.began_at * 1000 and transaction.replaces is None
        if count and not follows and transaction.replaces is None:
            last = max(last, now)  # side by side with the one before
        elif follows:
            count, last = count + 1, now
        else:
            count, first, last = 1, now, now
        value = self._loop_stamp.sign(f"{count}-{first}-{last}")
        return count, self.policy.cookie(self.policy.loop, value, same_site="Lax", max_age=_LOOP_SECONDS)

    async def close_logins(self) -> None:
        """Wait for the sign-ins under way."""
        await asyncio.gather(*(flight.landing for flight in self._flights.values()), return_exceptions=True)

    def _chain(self, jar: Jar) -> tuple[int, int, int]:
        stamped = self._loop_stamp.read(jar.get(self.policy.loop) or b"")
        match = _CHAIN.fullmatch(stamped.value) if stamped is not None else None
        if match is None or abs(self._clock.now() - int(match[2]) / 1000) > _LOOP_SECONDS:
            return 0, 0, 0
        return int(match[1]), int(match[2]), int(match[3])

    def _opened(self, jar: Jar, name: str) -> tuple[LoginTransaction, SameSite, float] | None:
        opened = self._cipher.sealer("login", name).open(jar.get(name) or b"", max_age=LOGIN_SECONDS)
        transaction = None if opened is None else unpack_transaction(opened.payload[1:])
        if opened is None or transaction is None:
            return None
        return transaction, "None" if opened.payload[:1] == _FORM_POST else "Lax", opened.sealed_at

    def _dropped(self, jar: Jar, new: str, weight: int) -> list[SetCookie]:
        """The deletions of the transactions for which there is no room beside the new one."""
        others = [name for name in jar.transactions(self.policy) if name != new]
        known = {name: self._opened(jar, name) for name in others}
        sealed_at = {name: 0.0 if found is None else found[2] for name, found in known.items()}
        rest = [name for name in jar.ours(self.policy) if name not in others and name != new]
        left = self.budget.total - weight - sum(jar.weight(name) for name in rest)
        dropped = []
        for place, name in enumerate(sorted(others, key=lambda name: sealed_at[name], reverse=True), start=1):
            left -= jar.weight(name)
            if place >= _MOST or left < 0:
                found = known[name]
                dropped.append(self.policy.deletion(name, same_site="Lax" if found is None else found[1]))
        return dropped

    async def _land(self, transaction: LoginTransaction, make: Callable[[], Awaitable[Landing]]) -> Landing:
        login = mark_of_login(transaction.state)
        try:
            if not await self._ledger.spend_login(login, self._clock.now() + LOGIN_SECONDS):
                return await self._landing_of_another(transaction, login)
            landing = await self._made(login, make)
        except Unavailable:
            self._flights.pop(transaction, None)
            raise
        await self._remember(login, _sealed(transaction, landing))
        return landing

    async def _made(self, login: bytes, make: Callable[[], Awaitable[Landing]]) -> Landing:
        """The landing; a refusal is remembered for every delivery, an outage gives the login back."""
        try:
            return await make()
        except Unavailable:
            await self._ledger.release_login(login)
            raise
        except LoginError:
            await self._remember(login, _FAILED)
            raise

    async def _landing_of_another(self, transaction: LoginTransaction, login: bytes) -> Landing:
        for _ in range(_POLLS):
            sealed = await self._ledger.landing(login)
            if sealed is not None:
                return _unsealed(transaction, sealed)
            await asyncio.sleep(_POLL)
        raise UnknownLogin("another delivery of this response was never finished")

    async def _remember(self, login: bytes, sealed: bytes) -> None:
        try:
            await self._ledger.keep_landing(login, sealed)
        except SessionStoreUnavailable as error:  # the person is signed in; only another worker will not know where to
            _log.warning("landing_not_kept", detail=error.detail)


def _sealed(transaction: LoginTransaction, landing: Landing) -> bytes:
    """Under the code verifier, which no one but this browser and we ever see."""
    cookies = [(one.name, one.value, one.secure, one.same_site, one.max_age) for one in landing.cookies]
    payload = msgspec.msgpack.encode((landing.location, cookies))
    return seal_under(transaction.code_verifier, payload, purpose="landing", about=transaction.state)


def _unsealed(transaction: LoginTransaction, sealed: bytes) -> Landing:
    payload = open_under(transaction.code_verifier, sealed, purpose="landing", about=transaction.state)
    if payload is None:
        raise UnknownLogin("another delivery of this response came to nothing")
    location, cookies = _landings.decode(payload)
    return Landing(location=location, cookies=tuple(SetCookie(*cookie) for cookie in cookies))


def _retrieve(task: asyncio.Task[Landing]) -> None:
    """A delivery that nobody waits for any more must not be reported as forgotten."""
    if not task.cancelled():
        task.exception()
