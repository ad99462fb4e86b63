"""What a sign-in remembers of the session that it will replace, whose cookie its callback is not sent (rule F23)."""

from __future__ import annotations

from contextlib import suppress

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable
from bff.oidc.messages import LoginTransaction
from bff.session.cipher import open_under, seal_under
from bff.session.ledger import Ledger
from bff.session.login_cookies import LOGIN_SECONDS
from bff.session.marks import mark_of_replaced

_PURPOSE = "replaced"


class Replaced:
    """Keeps the cookie's value in the ledger for as long as a login may take, so that its refresh token can be revoked.

    It is sealed under the code verifier: the ledger alone opens nothing, the other half is in the browser.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def remember(self, transaction: LoginTransaction, sid: str, value: bytes) -> None:
        """Keep the value where this sid will be replaced; where the ledger fails, that refresh token ends by itself."""
        if sid != transaction.replaces:
            return
        mark, secret = mark_of_replaced(transaction.state), transaction.code_verifier
        sealed = seal_under(secret, value, purpose=_PURPOSE, about=sid)
        with suppress(SessionStoreUnavailable):
            await self._ledger.spend_login(mark, self._clock.now() + LOGIN_SECONDS)
            await self._ledger.keep_landing(mark, sealed)

    async def value(self, transaction: LoginTransaction) -> bytes | None:
        """The value that was kept for this transaction, or None."""
        if transaction.replaces is None:
            return None
        with suppress(SessionStoreUnavailable):
            sealed = await self._ledger.landing(mark_of_replaced(transaction.state))
            if sealed is not None:
                return open_under(transaction.code_verifier, sealed, purpose=_PURPOSE, about=transaction.replaces)
        return None
