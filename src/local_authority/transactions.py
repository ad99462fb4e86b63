"""An authorization request on its way through the forms: signed, bound to one browser, carried by the form itself.

Nothing is kept here, so any number of tabs can be open at once, and a restart loses none of them.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from typing import Final, TypeVar

import msgspec

from local_authority.clock import Clock
from local_authority.errors import ForeignPost
from local_authority.secret_values import base64url, keyed_digest

LIFE_SECONDS: Final = 3_600
EXPIRED: Final = "This page has expired. Go back to the application and start again."

Carried = TypeVar("Carried", bound=msgspec.Struct)


class _Envelope(msgspec.Struct, frozen=True):
    expires_at: float
    content: msgspec.Raw


class Transactions:
    """Seals requests for one browser, known by a random cookie value. ``secret`` signs; contents are readable."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def seal(self, request: msgspec.Struct, browser: str) -> str:
        """``payload.signature``; it is good for an hour, in this browser, for its own kind of request."""
        content = msgspec.Raw(msgspec.json.encode(request))
        payload = base64url(msgspec.json.encode(_Envelope(self._clock.now() + LIFE_SECONDS, content)))
        return f"{payload}.{self._sign(type(request), payload, browser)}"

    def open(self, sealed: str, browser: str | None, kind: type[Carried]) -> Carried:
        """The request; ForeignPost where the value was changed, is too old, or was sealed for another browser."""
        payload, _, signature = sealed.partition(".")
        expected = self._sign(kind, payload, browser or "")
        if browser is None or not hmac.compare_digest(signature.encode(), expected.encode()):
            raise ForeignPost(
                "This form does not belong to this browser. Allow cookies for this site, and start again."
            )
        envelope = msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Envelope)
        if envelope.expires_at < self._clock.now():
            raise ForeignPost(EXPIRED)
        return msgspec.json.decode(envelope.content, type=kind)

    def _sign(self, kind: type[msgspec.Struct], payload: str, browser: str) -> str:
        return keyed_digest(self._secret, kind.__name__, payload, browser)
