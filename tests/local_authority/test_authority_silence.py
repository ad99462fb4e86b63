"""What must not be said: secrets in logs; and what must be drawn: every refusal in the tree."""

from __future__ import annotations

import logging

import pytest

from local_authority import errors
from local_authority.errors import AuthorityError
from local_authority.seeds import ADA, DAEMON_CLIENT_ID, DEFAULT_SCOPE
from tests.world.authority import CLIENT_SECRET, VERIFIER, LocalAuthority, authorization_url, response_parameters


@pytest.mark.req("ATK-59")
async def test_no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A whole story at DEBUG, refusals included, leaves no password, code, token, secret or cookie in any record."""
    caplog.set_level(logging.DEBUG)
    authority = LocalAuthority()
    browser = authority.browser()
    await browser.sign_in(authorization_url(authority), password="a-wrong-password")
    code = response_parameters(await browser.sign_in(authorization_url(authority)))["code"]
    tokens = (await authority.redeem(code)).json()
    refreshed = (await authority.refresh(tokens["refresh_token"])).json()
    await authority.refresh(tokens["refresh_token"])
    await authority.token(grant_type="client_credentials", scope=DEFAULT_SCOPE, client_id=DAEMON_CLIENT_ID)
    await authority.post("end_session_endpoint", {"id_token_hint": tokens["id_token"]})

    cookie = browser.cookies[authority.services.cookies.session_name]
    secrets = [ADA.password, "a-wrong-password", code, VERIFIER, CLIENT_SECRET, authority.daemon_secret, cookie]
    secrets += [
        answer[name] for answer in (tokens, refreshed) for name in ("access_token", "id_token", "refresh_token")
    ]
    said = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records)

    assert caplog.records
    assert [secret for secret in secrets if secret in said] == []


def _descendants(kind: type[AuthorityError]) -> list[type[AuthorityError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _descendants(child))]


def test_every_refusal_stands_in_the_tree() -> None:
    """The tree at the top of errors.py draws each class, in the order in which the classes follow."""
    drawn = [line.lstrip(" │├└─").split(" ")[0] for line in (errors.__doc__ or "").splitlines()[2:] if line.strip()]
    names = [kind.__name__ for kind in _descendants(AuthorityError)]

    assert drawn[: len(names)] == names
