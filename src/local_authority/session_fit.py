"""Whether a session that is there answers a request, so that no form is needed (OIDC Core 3.1.2.1)."""

from __future__ import annotations

from typing import Final

from local_authority.authorization import AuthorizationRequest
from local_authority.clock import Clock
from local_authority.keys import Keys
from local_authority.people import People
from local_authority.sessions import Session
from local_authority.tokens import Tokens

ASKING_FOR_A_FORM: Final = frozenset({"login", "create", "select_account"})


def fits(
    request: AuthorizationRequest, session: Session, *, people: People, keys: Keys, tokens: Tokens, clock: Clock
) -> bool:
    """No prompt for a form, young enough, of the asked ``acr``, and of the person whom the hints name."""
    return (
        not ASKING_FOR_A_FORM & set(request.prompts)
        and _young_enough(request.max_age, session, clock)
        and request.acr in {None, session.acr}
        and people.find(session.oid) is not None
        and _hinted(request.login_hint, session, people)
        and _hinted_by_token(request, session, keys, tokens)
    )


def _young_enough(max_age: int | None, session: Session, clock: Clock) -> bool:
    """``max_age=0`` asks for a form, whatever the clock says (OIDC Core 3.1.2.1, as ``prompt=login``)."""
    return max_age is None or (max_age > 0 and int(clock.now()) - session.auth_time <= max_age)


def _hinted(login_hint: str | None, session: Session, people: People) -> bool:
    if login_hint is None:
        return True
    person = people.find_hint(login_hint)
    return person is not None and person.oid == session.oid


def _hinted_by_token(request: AuthorizationRequest, session: Session, keys: Keys, tokens: Tokens) -> bool:
    if request.id_token_hint is None:
        return True
    claims = keys.verify(request.id_token_hint)
    subject = tokens.subject(session.oid, request.target.client_id)
    return claims is not None and claims.get("sub") == subject
