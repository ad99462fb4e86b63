"""Signing out: the ticket in the link, the way on to the authorization server, and the way back (rules F31 to F33)."""

from __future__ import annotations

from bff.session.cipher import Cipher
from bff.session.cookies import CookiePolicy, Jar, SetCookie
from bff.session.marks import tag
from bff.session.model import Session
from bff.session.signed import Stamp, same
from bff.telemetry.logs import get_logger

_CONTINUE_SECONDS = 60
_AWAY_SECONDS = 600

_log = get_logger(__name__)


class SignOutCookies:
    """The half of a vault that a sign-out needs, wherever sessions lie."""

    def __init__(self, policy: CookiePolicy, cipher: Cipher) -> None:
        self.policy = policy
        self._ticket_stamp = Stamp(cipher, "logout")
        self._way_on = cipher.sealer("sign-out", policy.logout)
        self._way_back = cipher.sealer("logged-out", policy.logged_out)

    def tag(self, session: Session) -> str:
        """The session's public name, for ``/bff/user`` and ``X-BFF-Session``: it is the same in every generation."""
        return tag(session.sid, "page")

    def tag_matches(self, session: Session, claimed: str) -> bool:
        """Whether the page speaks for this session (rule F30)."""
        return same(self.tag(session), claimed)

    def logout_ticket(self, session: Session) -> str:
        """What ``logout_url`` carries: it names a session without telling it, and has no time limit of its own."""
        return self._ticket_stamp.sign(tag(session.sid, "logout")).decode()

    def is_logout_ticket(self, ticket: str, session: Session) -> bool:
        """Whether we signed this ticket for this very session (rule F32)."""
        signed = self._ticket_stamp.read(ticket.encode(errors="surrogatepass"))
        return signed is not None and same(signed.value, tag(session.sid, "logout"))

    def keep_sign_out(self, url: str | None) -> SetCookie:
        """Seal the end-session URL, or that there is none, for the next navigation: 60 s, Strict."""
        value = self._way_on.seal((url or "").encode())
        return self.policy.cookie(self.policy.logout, value, max_age=_CONTINUE_SECONDS)

    def take_sign_out(self, jar: Jar) -> tuple[str | None, list[SetCookie]]:
        """The end-session URL, or None where there is none any more, and the cookie's deletion."""
        name = self.policy.logout
        opened = self._way_on.open(jar.get(name) or b"", max_age=_CONTINUE_SECONDS)
        url = opened.payload.decode() if opened is not None else ""
        return url or None, [self.policy.deletion(name)] if name in jar else []

    def keep_logged_out_state(self, state: str) -> SetCookie:
        """Remember the ``state`` of an end-session request (RP-Initiated Logout 2); Lax: the way back is cross-site."""
        value = self._way_back.seal(state.encode())
        name = self.policy.logged_out
        return self.policy.cookie(name, value, same_site="Lax", max_age=_AWAY_SECONDS)

    def check_logged_out(self, jar: Jar, state: str | None) -> list[SetCookie]:
        """The end of the round trip: the cookie goes; a ``state`` that is not the one we sent is logged, no more."""
        name = self.policy.logged_out
        if name not in jar:
            return []
        opened = self._way_back.open(jar.get(name) or b"", max_age=_AWAY_SECONDS)
        if opened is None or state is None or not same(opened.payload.decode(), state):
            _log.warning("logged_out_state_mismatch")
        return [self.policy.deletion(name, same_site="Lax")]
