"""What a person reads when a navigation failed: what happened, in plain words, and the way on.

Never a stack trace, never a loop, never the authorization server's raw text (ATK-7): each word here is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from http import HTTPStatus

from starlette.responses import Response

from bff import errors, problems
from bff.routes.pages import page_headers

OUTCOME_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
SIGN_IN = ("Sign in again", "/bff/login")
OTHER_ACCOUNT = ("Use another account", "/bff/login?prompt=select_account")
HOME = ("Back to the start", "/")
MINIMUM_SKEW_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """A page's words: a heading, a paragraph, and where one can go; the first way on is the main one."""

    heading: str
    text: str
    ways_on: tuple[tuple[str, str], ...] = (SIGN_IN, HOME)


REFUSALS = {
    "access_denied": Outcome(
        "You cancelled", "You stopped before signing in, so nothing has happened. Sign in whenever you like."
    ),
    "login_required": Outcome("Please sign in", "The sign-in service does not know you in this browser any more."),
    "interaction_required": Outcome(
        "One more step is needed", "The sign-in service wants to ask you something before it lets you in."
    ),
    "consent_required": Outcome(
        "Your consent is needed", "The sign-in service needs your consent before it lets you in."
    ),
    "account_selection_required": Outcome(
        "Choose an account", "The sign-in service knows several accounts of yours.", (OTHER_ACCOUNT, HOME)
    ),
    "temporarily_unavailable": Outcome(
        "The sign-in service is busy", "It asked us to come back later. Please try again in a moment."
    ),
    "server_error": Outcome(
        "The sign-in service had a problem", "The fault is on its side. Please try again in a moment."
    ),
    "invalid_scope": Outcome(
        "This site asks for too much",
        "The sign-in service does not grant what this site asks for. Its operator has to correct that.",
        (HOME,),
    ),
}
_UNKNOWN_REFUSAL = Outcome(
    "You were not signed in", "The sign-in service did not sign you in, and did not say why in a way we know."
)

OUTCOMES: dict[type[errors.BFFError], Outcome] = {
    errors.InvalidLoginRequest: Outcome(
        "This link cannot sign you in",
        "The link asks for something that this site does not offer. You can sign in the usual way.",
        (("Sign in", "/bff/login"), HOME),
    ),
    errors.UnknownLogin: Outcome(
        "This sign-in has expired",
        "It was left open too long, was finished before, or was begun in another browser. If you are signed in, just go on.",
    ),
    errors.InvalidAuthorizationResponse: Outcome(
        "The answer could not be accepted",
        "What came back does not fit the sign-in that was begun here, so it was not used.",
    ),
    errors.CodeRefused: Outcome(
        "The sign-in took too long", "The sign-in service's one-time answer was no longer valid. Please try once more."
    ),
    errors.InvalidIDToken: Outcome(
        "Your identity could not be verified",
        "The sign-in service's answer did not pass our checks, so it was not used. Please try again; if it stays, tell this site's operator.",
    ),
    errors.LoginNotPermitted: Outcome(
        "This account may not come in",
        "You signed in, but this account is not allowed to use this site.",
        (OTHER_ACCOUNT, HOME),
    ),
    errors.LoginLoop: Outcome(
        "Your browser did not keep the sign-in",
        "You were signed in several times in a row and no cookie came back. Check that cookies are allowed for this site, that its address is the same as before, and that the clock of your device is right.",
        (HOME, ("Try once more", "/bff/login")),
    ),
    errors.AuthorizationServerUnavailable: Outcome(
        "The sign-in service does not answer",
        "It is slow or down at the moment. Nothing is lost; please try again shortly.",
    ),
    errors.ClientRefused: Outcome(
        "This site's own registration is refused",
        "The sign-in service does not accept this site's credentials. Only its operator can repair that.",
        (HOME,),
    ),
    errors.SessionTooLarge: Outcome(
        "This sign-in does not fit",
        "The sign-in service sends more about this account than a browser cookie can hold. This site's operator can choose what is asked for.",
        (OTHER_ACCOUNT, HOME),
    ),
    errors.SessionStoreUnavailable: Outcome(
        "Sessions cannot be checked right now",
        "A part of this site does not answer. Nothing is lost; please try again shortly.",
    ),
}
_UNKNOWN = Outcome("Something went wrong", "The request could not be served.", (HOME,))


def words_for(error: Exception) -> Outcome:
    """Choose the words for an error; a clock's fault is named with the skew that was measured."""
    if isinstance(error, errors.AuthorizationRefused):
        return REFUSALS.get(error.code, _UNKNOWN_REFUSAL)
    if isinstance(error, errors.InvalidIDToken) and error.skew is not None and abs(error.skew) >= MINIMUM_SKEW_SECONDS:
        direction = "ahead of" if error.skew > 0 else "behind"
        text = f"The sign-in service's clock is {abs(error.skew):.0f} seconds {direction} ours. One of the two has to be set right; this site's operator can see to it."
        return Outcome("Two clocks disagree", text)
    return OUTCOMES.get(type(error), _UNKNOWN)  # type: ignore[arg-type]  # because any exception may be asked about


def outcome_page(outcome: Outcome, *, status: int, trace_id: str, script: str = "") -> Response:
    """Render one outcome as a document of ours, without anything from the request in it."""
    ways = "".join(
        f'<a class="button{"" if number == 0 else " quiet"}" href="{escape(target)}">{escape(label)}</a>'
        for number, (label, target) in enumerate(outcome.ways_on)
    )
    loaded = f'<script type="module" src="{escape(script)}"></script>' if script else ""
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(outcome.heading)}</title>"
        '<link rel="icon" href="/assets/favicon.svg"><link rel="stylesheet" href="/assets/style.css">'
        f'{loaded}</head><body><main class="message" id="outcome"><h1>{escape(outcome.heading)}</h1><p>{escape(outcome.text)}</p>'
        f'<p class="actions">{ways}</p><p class="detail">Reference {escape(trace_id)}</p></main></body></html>'
    )
    headers = {**page_headers(OUTCOME_CSP), "Cache-Control": "no-store"}
    return Response(document, status_code=status, headers=headers, media_type="text/html")


def failed_navigation(error: Exception, trace_id: str) -> Response:
    """The page for an error that met a browser on its way; status and log line are those of the problem."""
    row = problems.note(error, trace_id)
    # UnknownLogin asks the page's script whether somebody is signed in after all, and goes on if so (rule F23).
    expired = isinstance(error, errors.UnknownLogin)
    # login_required may answer the renewal of a session that got lost: the script knows whether there was one (F1).
    unknown = isinstance(error, errors.AuthorizationRefused) and error.code == "login_required"
    script = "/assets/outcome.js" if expired else "/assets/unknown-person.js" if unknown else ""
    status = HTTPStatus.OK if expired else row.status
    response = outcome_page(words_for(error), status=status, trace_id=trace_id, script=script)
    for name, value in problems.headers_of(error).items():
        response.headers.setdefault(name, value)
    return response
