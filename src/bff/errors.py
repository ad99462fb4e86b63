"""Every refusal and every outage of the BFF, as one tree that knows no HTTP.

    BFFError
    ├── ConfigurationError                the start is refused; all causes at once, each with its cure
    ├── LoginError                        a sign-in did not become a session
    │   ├── InvalidLoginRequest           /bff/login was asked for something it does not offer
    │   ├── UnknownLogin                  no transaction of ours belongs to this state
    │   ├── InvalidAuthorizationResponse  duplicated, missing or foreign parameters; a wrong iss
    │   ├── AuthorizationRefused          the authorization server said no (the person cancelled, ...)
    │   ├── CodeRefused                   the authorization server would not redeem the code
    │   ├── InvalidIDToken                absent, or one numbered check failed
    │   ├── LoginNotPermitted             a rule of authority.require does not match
    │   └── LoginLoop                     the third callback in 30 seconds that led nowhere
    ├── SessionError                      this request has no session it may use
    │   ├── NoSession                     no cookie, or none that opens
    │   ├── SessionEnded                  it was ours, and it is over (reason)
    │   ├── SessionSuperseded             a generation whose time has passed; ask again with the newest
    │   ├── SessionChanged                the page speaks for another session than the cookie
    │   ├── RefreshRefused                the authorization server ended the grant (invalid_grant)
    │   └── SessionTooLarge               it does not fit the cookie budget
    ├── AntiforgeryError                  the call does not come from our page
    │   ├── AntiforgeryHeaderMissing
    │   ├── CrossSiteRequest
    │   └── ForeignOrigin
    ├── RequestRefused                    the request itself cannot be served
    │   ├── MalformedRequest
    │   ├── MisdirectedRequest            another Host than public_url's
    │   ├── UnknownRoute
    │   ├── UnknownSession                none of this person's sessions has this tag
    │   ├── MethodNotAllowed
    │   ├── UpgradeRefused
    │   ├── RequestTooLarge
    │   ├── RequestStalled                the body stopped arriving
    │   ├── TooManyRequests               more calls, or more at a time, than this session or address may make
    │   └── SpeculativeRequest            prefetch and prerender have no effect here
    ├── InvalidLogoutToken                one numbered check of a back-channel logout token failed, or it came twice
    ├── UpstreamUnauthorized              the API refused the token that we sent: not a lost session
    └── Unavailable                       an outage, ours or a peer's; never a 401
        ├── AuthorizationServerUnavailable
        ├── ClientRefused                 the authorization server refuses our credentials: our fault
        ├── ResourceAPIUnavailable
        ├── ResourceAPITimeout
        ├── ResourceAPIBusy               as many calls are under way to it as this process permits
        └── SessionStoreUnavailable

The public text is a constant of the class; what a raiser adds is detail for the log, under the same trace id.
"""

from __future__ import annotations

from typing import ClassVar


class BFFError(Exception):
    """Root of the tree. ``detail`` goes to the log, ``public`` to the browser."""

    public: ClassVar[str] = "Something went wrong."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.public)
        self.detail = detail


class ConfigurationError(BFFError):
    """Settings that cannot work. ``causes`` holds one line each, with the cure in it."""

    public = "The configuration cannot work."

    def __init__(self, causes: list[str]) -> None:
        super().__init__("\n".join(causes))
        self.causes = causes


class LoginError(BFFError):
    """A sign-in did not become a session; the way on is to sign in again."""

    public = "The sign-in did not complete."


class InvalidLoginRequest(LoginError):
    """A parameter of ``GET /bff/login`` is unknown, repeated or outside its pattern."""

    public = "The sign-in was asked for in a way this site does not offer."


class UnknownLogin(LoginError):
    """No transaction cookie belongs to this ``state``: expired, finished before, or begun in another browser."""

    public = "This sign-in has expired, or it was begun in another browser."


class InvalidAuthorizationResponse(LoginError):
    """The authorization response is not one that our request can have caused (RFC 6749 4.1.2, RFC 9207)."""

    public = "The answer of the sign-in service could not be accepted."


class AuthorizationRefused(LoginError):
    """An error response (RFC 6749 4.1.2.1). ``code`` is one of ours, never the server's raw text."""

    public = "The sign-in service did not sign you in."

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = code


class CodeRefused(LoginError):
    """``invalid_grant`` for an authorization code: spent, expired, or bound to another request."""

    public = "The sign-in took too long or was answered twice."


class InvalidIDToken(LoginError):
    """A numbered step of OIDC Core 3.1.3.7 failed. ``step`` names it; ``skew`` is seconds where a clock is to blame."""

    public = "The identity could not be verified."

    def __init__(self, step: str, detail: str = "", *, skew: float | None = None) -> None:
        super().__init__(f"step {step}: {detail}" if detail else f"step {step}")
        self.step = step
        self.skew = skew


class LoginNotPermitted(LoginError):
    """The person is who they say, and a rule of ``authority.require`` does not let them in."""

    public = "This account may not use this application."


class LoginLoop(LoginError):
    """Sign-in succeeds again and again and no session comes back: cookies are not returned."""

    public = "You were signed in, but your browser did not keep the sign-in."


class SessionError(BFFError):
    """This request has no session that it may use."""

    public = "You are not signed in."


class NoSession(SessionError):
    """No session cookie, or one that does not open. Nothing is cleared: another replica may hold its key."""


class SessionEnded(SessionError):
    """The session was ours and is over. ``reason`` is one of the words of ``session/endings.py``."""

    public = "Your session has ended."

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class SessionSuperseded(SessionError):
    """An old generation of a living session: repeat the call once with the newest cookie."""

    public = "This request carried an older session; repeat it."


class SessionChanged(SessionError):
    """The page's ``X-BFF-Session`` is not the cookie's session: somebody else signed in meanwhile."""

    public = "Somebody else is signed in now."


class RefreshRefused(SessionError):
    """``invalid_grant`` for a refresh token: expired, revoked, reused (RFC 6749 5.2); or there is none to ask with."""

    public = "Your session has ended."


class SessionTooLarge(SessionError):
    """The sealed session exceeds the cookie budget; ``detail`` names the largest parts."""

    public = "The sign-in holds more than a cookie can."


class AntiforgeryError(BFFError):
    """The call does not provably come from our own page."""

    public = "This call did not come from this site's page."


class AntiforgeryHeaderMissing(AntiforgeryError):
    """``X-CSRF: 1`` is missing."""

    public = "The header X-CSRF: 1 is missing."


class CrossSiteRequest(AntiforgeryError):
    """``Sec-Fetch-Site`` says another site, or is missing where it must be sent."""

    public = "The call was made by another site."


class ForeignOrigin(AntiforgeryError):
    """``Origin`` is not ours, or is missing where it must be sent."""

    public = "The call's Origin is not this site."


class RequestRefused(BFFError):
    """The request itself cannot be served."""

    public = "The request cannot be served."


class MalformedRequest(RequestRefused):
    """Ambiguous path, duplicated header, or bytes that HTTP does not allow."""

    public = "The request is malformed."


class MisdirectedRequest(RequestRefused):
    """``Host`` is not exactly that of ``public_url``."""

    public = "This server answers under another address."


class UnknownRoute(RequestRefused):
    """No route has this path."""

    public = "There is nothing here."


class UnknownSession(RequestRefused):
    """No living session of this person has the tag: it has ended meanwhile, or was never theirs."""

    public = "There is no such session any more."


class MethodNotAllowed(RequestRefused):
    """The route exists and does not list this method. ``allowed`` does."""

    public = "The route does not take this method."

    def __init__(self, allowed: frozenset[str], detail: str = "") -> None:
        super().__init__(detail)
        self.allowed = allowed


class UpgradeRefused(RequestRefused):
    """A protocol upgrade on a route that relays plain HTTP."""

    public = "This route takes no protocol upgrade."


class RequestTooLarge(RequestRefused):
    """The body exceeds the route's ``max_body``."""

    public = "The request body is too large."


class RequestStalled(RequestRefused):
    """The browser began a request body and stopped sending it (RFC 9110 15.5.9)."""

    public = "The request body stopped arriving."


class TooManyRequests(RequestRefused):
    """More calls than one session or one address may make (RFC 6585 4). ``retry_after`` is in seconds."""

    public = "Too many calls. Wait a moment."

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class SpeculativeRequest(RequestRefused):
    """``Sec-Purpose: prefetch``: a guess of the browser must not sign anybody in or out."""

    public = "Speculative requests have no effect here."


class InvalidLogoutToken(BFFError):
    """A back-channel logout token failed one step of OIDC Back-Channel Logout 2.6. ``step`` names it."""

    public = "The logout token was refused."

    def __init__(self, step: str, detail: str = "") -> None:
        super().__init__(f"step {step}: {detail}" if detail else f"step {step}")
        self.step = step


class UpstreamUnauthorized(BFFError):
    """The API answered 401 to a living session. ``challenge`` is its Bearer challenge (RFC 6750 3), or empty."""

    public = "The API did not accept this session's token."

    def __init__(self, challenge: str = "", detail: str = "") -> None:
        super().__init__(detail or challenge)
        self.challenge = challenge


class Unavailable(BFFError):
    """An outage. ``retry_after`` is in seconds."""

    public = "A service we need does not answer."
    retry_after: ClassVar[int] = 5


class AuthorizationServerUnavailable(Unavailable):
    """Discovery, keys or a token call failed: unreachable, slow, 429, 5xx or unreadable.

    ``sent`` is False where nothing that changes anything left us, DNS, connect, TLS or pool failed, a document could
    not be had, or the server said that it did nothing (429). That may be repeated; after anything else the server may
    have acted, and rotated a refresh token. ``answered`` says that an answer came, whatever is wrong with it.
    """

    public = "The sign-in service does not answer."

    def __init__(self, detail: str = "", *, sent: bool = True, answered: bool = False) -> None:
        super().__init__(detail)
        self.sent = sent
        self.answered = answered


class ClientRefused(Unavailable):
    """``invalid_client`` or ``unauthorized_client``: our registration or secret is wrong. No session suffers for it."""

    public = "The sign-in service refuses this application's credentials."


class ResourceAPIUnavailable(Unavailable):
    """The upstream could not be reached, or its answer broke HTTP."""

    public = "The API does not answer."


class ResourceAPITimeout(Unavailable):
    """The upstream was reached and did not answer in time."""

    public = "The API did not answer in time."


class ResourceAPIBusy(Unavailable):
    """Every connection to the upstream that this process permits is in use, and none came free in time."""

    public = "The API is busy."
    retry_after: ClassVar[int] = 1


class SessionStoreUnavailable(Unavailable):
    """The ledger or the session store does not answer; the cookie is kept."""

    public = "Sessions cannot be checked right now."
