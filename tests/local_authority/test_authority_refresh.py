"""Refresh tokens: each works once, and reuse ends the family."""

from __future__ import annotations

import asyncio

import pytest

from local_authority.seeds import DAEMON_CLIENT_ID, READ_SCOPE, READ_WRITE_SCOPE
from tests.world.authority import LocalAuthority, claims_of
from tests.world.clock import MovableClock


async def test_a_refresh_gives_a_whole_new_set(authority: LocalAuthority, clock: MovableClock) -> None:
    """A refresh gives new access, ID and refresh tokens; sub, sid, auth_time stay, the nonce goes (OIDC Core 12.2)."""
    tokens = await authority.signed_in()
    clock.advance(10)
    refreshed = (await authority.refresh(tokens["refresh_token"])).json()
    before, after = claims_of(tokens["id_token"]), claims_of(refreshed["id_token"])

    assert all(refreshed[name] != tokens[name] for name in ("access_token", "id_token", "refresh_token"))
    assert all(after[name] == before[name] for name in ("iss", "sub", "aud", "sid", "auth_time", "oid"))
    assert after["iat"] == before["iat"] + 10
    assert "nonce" in before
    assert "nonce" not in after


@pytest.mark.req("BCP-19")
async def test_reuse_ends_the_family(authority: LocalAuthority) -> None:
    """A spent refresh token is refused, and its successors with it, however many there are (RFC 9700 4.14.2)."""
    family = [(await authority.signed_in())["refresh_token"]]
    for _ in range(3):
        family.append((await authority.refresh(family[-1])).json()["refresh_token"])

    reused = await authority.refresh(family[1])
    newest = await authority.refresh(family[-1])

    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert (newest.status_code, newest.json()["error"]) == (400, "invalid_grant")


async def test_of_two_parallel_refreshes_one_loses_and_takes_the_winner_down(authority: LocalAuthority) -> None:
    """Two calls with one token: one answer, and then a family that is over, as with the strictest servers."""
    token = (await authority.signed_in())["refresh_token"]
    answers = await asyncio.gather(authority.refresh(token), authority.refresh(token))
    winner = next(answer for answer in answers if answer.status_code == 200)

    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert (await authority.refresh(winner.json()["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.req("F1")
async def test_an_overlap_forgives_reuse_for_its_seconds_and_no_longer(clock: MovableClock) -> None:
    """Counted from the first use, whatever comes later; each use gives a token that works, until reuse is reuse."""
    authority = LocalAuthority(clock=clock, refresh_overlap=30)
    token = (await authority.signed_in())["refresh_token"]
    others = [(await authority.refresh(token)).json()["refresh_token"]]
    for _ in range(2):
        clock.advance(14)
        others.append((await authority.refresh(token)).json()["refresh_token"])
    assert len({token, *others}) == 4
    assert (await authority.refresh(others[0])).status_code == 200
    clock.advance(3)
    assert (await authority.refresh(token)).json()["error"] == "invalid_grant"
    assert (await authority.refresh(others[1])).json()["error"] == "invalid_grant"


async def test_families_do_not_know_each_other(authority: LocalAuthority) -> None:
    """Reuse in one sign-in leaves the others alone."""
    one, other = await authority.signed_in(), await authority.signed_in()
    await authority.refresh(one["refresh_token"])
    await authority.refresh(one["refresh_token"])

    assert (await authority.refresh(other["refresh_token"])).status_code == 200


@pytest.mark.req("T-13")
async def test_only_offline_access_gives_refresh_tokens(authority: LocalAuthority) -> None:
    """Without offline_access there is no refresh token; without openid no ID token."""
    online = await authority.signed_in(scope=f"openid {READ_SCOPE}")
    plain = await authority.signed_in(scope=f"offline_access {READ_SCOPE}")

    assert "refresh_token" not in online
    assert "id_token" not in plain
    assert "refresh_token" in plain


async def test_a_refresh_token_expires_some_time_after_its_own_making(
    authority: LocalAuthority, clock: MovableClock
) -> None:
    """Each refresh token lives for its time; the next one has its own."""
    token = (await authority.signed_in())["refresh_token"]
    for _ in range(2):
        clock.advance(authority.options.lifetimes.refresh_token - 1)
        token = (await authority.refresh(token)).json()["refresh_token"]
    clock.advance(authority.options.lifetimes.refresh_token)

    assert (await authority.refresh(token)).json()["error"] == "invalid_grant"


async def test_a_refresh_token_is_its_clients_alone(authority: LocalAuthority) -> None:
    """Another client cannot use a refresh token, nor end its family by trying."""
    token = (await authority.signed_in())["refresh_token"]
    stolen = await authority.refresh(token, client_id=DAEMON_CLIENT_ID, client_secret=authority.daemon_secret)

    assert stolen.json()["error"] == "invalid_grant"
    assert (await authority.refresh(token)).status_code == 200


async def test_less_may_be_asked_for_and_more_may_not(authority: LocalAuthority) -> None:
    """A narrower scope narrows the token, not the grant; a wider one is refused and costs nothing (RFC 6749 6)."""
    token = (await authority.signed_in(scope=f"openid offline_access {READ_SCOPE}"))["refresh_token"]
    refused = await authority.refresh(token, scope=READ_WRITE_SCOPE)
    narrow = (await authority.refresh(token, scope="openid")).json()
    whole = (await authority.refresh(narrow["refresh_token"])).json()

    assert refused.json()["error"] == "invalid_scope"
    assert claims_of(narrow["access_token"])["aud"] != claims_of(whole["access_token"])["aud"]
    assert whole["scope"] == READ_SCOPE


async def test_a_refresh_does_not_need_the_session(authority: LocalAuthority, clock: MovableClock) -> None:
    """offline_access outlives the sign-in session (K-52)."""
    token = (await authority.signed_in())["refresh_token"]
    clock.advance(authority.options.lifetimes.session + 1)

    assert (await authority.refresh(token)).status_code == 200
