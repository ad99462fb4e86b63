"""What app.py wired, as one value that the routes are handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from local_authority.bearer_tokens import BearerTokens
from local_authority.clients.authentication import ClientAuthentication
from local_authority.clients.registrations import Registry
from local_authority.clock import Clock
from local_authority.cookies import Cookies
from local_authority.grants import Grants
from local_authority.keys import Keys
from local_authority.options import Options
from local_authority.pages import Pages
from local_authority.people import People
from local_authority.record import Record
from local_authority.sessions import Sessions
from local_authority.sign_out import SignOut
from local_authority.token_answers import TokenAnswers
from local_authority.tokens import Tokens
from local_authority.transactions import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything below the routes, ready to use."""

    options: Options
    clock: Clock
    registry: Registry
    keys: Keys
    people: People
    sessions: Sessions
    transactions: Transactions
    grants: Grants
    tokens: Tokens
    answers: TokenAnswers
    bearer_tokens: BearerTokens
    client_authentication: ClientAuthentication
    cookies: Cookies
    sign_out: SignOut
    pages: Pages
    record: Record


def _wired(request: Request) -> Services:
    return cast("Services", request.app.state.services)


Wired = Annotated[Services, Depends(_wired)]
