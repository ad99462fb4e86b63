"""The suite that every ledger runs: a subclass names the ledger, its clock, and how time passes for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from bff.clock import Clock
from bff.session.endings import Ending, Reason
from bff.session.ledger import Ledger
from bff.session.marks import Marks, mark_of_login, mark_of_sid
from bff.session.successor import Successor
from tests.bff.session.session_world import ISSUER, NOW, a_session
from tests.world.clock import MovableClock

SID, LOGIN = mark_of_sid("sid"), mark_of_login("state")
DAY = 86_400.0
ONE, OTHER = b"one", b"other"

Passing = Callable[[float], Awaitable[None]]


def successor(generation: int, newest: int, text: bytes = b"sealed") -> Successor:
    """An entry; what is sealed in it matters to nobody here."""
    return Successor(generation=generation, newest=newest, sealed=text)


def an_ending(mark: bytes = SID, *, reason: Reason = Reason.SIGNED_OUT, until: float = NOW + DAY) -> Ending:
    """The end of one session."""
    return Ending(mark=mark, reason=reason, at=NOW, until=until)


class LedgerSuite:
    """What every ledger promises. A subclass has the fixture ``ledger``; ``clock`` and ``passing`` where it must."""

    @pytest.fixture
    def clock(self) -> MovableClock:
        """It stands at NOW."""
        return MovableClock(NOW)

    @pytest.fixture
    def passing(self, clock: MovableClock) -> Passing:
        """Lets so many seconds pass for the ledger."""

        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return advance

    @pytest.mark.req("F2", "F11")
    async def test_an_ending_is_seen_at_once_and_its_first_reason_stands(self, ledger: Ledger) -> None:
        """Own writes are in the view when the call returns."""
        session = a_session(sid="sid")
        assert ledger.view.ended(Marks.of(session), NOW) is None
        await ledger.end(Ending.of_session(session, Reason.SIGNED_OUT, at=NOW))
        await ledger.end(Ending.of_session(session, Reason.IDLE, at=NOW))
        found = ledger.view.ended(Marks.of(session), NOW)
        assert found is not None
        assert found.reason is Reason.SIGNED_OUT

    @pytest.mark.req("F11")
    async def test_the_authorization_servers_sid_ends_whatever_began_in_it(self, ledger: Ledger) -> None:
        """Also sessions that nobody has kept yet, and none of another issuer."""
        await ledger.end(Ending.of_authority_sid(ISSUER, "as", Reason.BACKCHANNEL, at=NOW, until=NOW + DAY))
        hit, miss = a_session(authority_sid="as"), a_session(authority_sid="as", issuer="https://other.example")
        assert ledger.view.ended(Marks.of(hit), NOW) is not None
        assert ledger.view.ended(Marks.of(miss), NOW) is None
        assert ledger.view.ended(Marks.of(a_session(authority_sid=None)), NOW) is None

    @pytest.mark.req("F11")
    async def test_a_subject_is_signed_out_up_to_an_instant(self, ledger: Ledger) -> None:
        """Sessions whose ID token is older end, a later sign-in lives; the latest instant counts."""
        marks = Marks.of(a_session())
        for before in (NOW - 100, NOW, NOW - 50):
            ending = Ending.of_subject(ISSUER, "alice", Reason.BACKCHANNEL, before=before, at=NOW, until=NOW + DAY)
            await ledger.end(ending)
        assert ledger.view.ended(marks, NOW) is not None
        assert ledger.view.ended(marks, NOW + 1) is None

    @pytest.mark.req("F18")
    async def test_a_login_is_spent_once(self, ledger: Ledger, clock: Clock, passing: Passing) -> None:
        """Until it is given back, or its ten minutes are over."""
        assert await ledger.spend_login(LOGIN, NOW + 600) is True
        assert await ledger.spend_login(LOGIN, NOW + 600) is False
        await ledger.release_login(LOGIN)
        assert await ledger.spend_login(LOGIN, NOW + 600) is True
        assert await ledger.spend_login(mark_of_login("other"), NOW + 600) is True
        await passing(700)
        assert await ledger.spend_login(LOGIN, clock.now() + 600) is True

    @pytest.mark.req("F18")
    async def test_a_landing_belongs_to_a_spent_login(self, ledger: Ledger, clock: Clock, passing: Passing) -> None:
        """Nobody lands where nobody signed in; and not for ever."""
        await ledger.keep_landing(LOGIN, b"nowhere")
        assert await ledger.landing(LOGIN) is None
        await ledger.spend_login(LOGIN, NOW + 600)
        assert await ledger.landing(LOGIN) is None
        await ledger.keep_landing(LOGIN, b"there")
        assert await ledger.landing(LOGIN) == b"there"
        await passing(601)
        assert await ledger.landing(LOGIN) is None

    @pytest.mark.req("F4")
    async def test_a_successor_is_written_once(self, ledger: Ledger) -> None:
        """Whoever comes second learns it, and what stands does not change."""
        assert ledger.view.newest_generation(SID) == 0
        assert await ledger.keep_successor(SID, successor(1, 2, b"first"), NOW + DAY) is True
        assert await ledger.keep_successor(SID, successor(1, 2, b"second"), NOW + DAY) is False
        assert await ledger.successor(SID, 1) == successor(1, 2, b"first")
        assert ledger.view.newest_generation(SID) == 2
        assert await ledger.successor(mark_of_sid("other"), 1) is None
        assert await ledger.successor(SID, 2) is None

    @pytest.mark.req("F4")
    async def test_a_path_is_shortened_forward_only_and_never_created(self, ledger: Ledger) -> None:
        """An entry moves to newer generations; a missing one stays missing."""
        await ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
        await ledger.shorten_path(SID, successor(1, 4, b"four"))
        await ledger.shorten_path(SID, successor(1, 3, b"three"))
        await ledger.shorten_path(SID, successor(3, 4))
        assert await ledger.successor(SID, 1) == successor(1, 4, b"four")
        assert await ledger.successor(SID, 3) is None

    @pytest.mark.req("F4")
    async def test_acknowledging_a_generation_lets_older_ones_lapse(
        self, ledger: Ledger, clock: Clock, passing: Passing
    ) -> None:
        """Sixty seconds, counted from the first time, and only for older generations of this session."""
        other = mark_of_sid("other")
        for sid in (SID, other):
            await ledger.keep_successor(sid, successor(1, 2), NOW + DAY)
        await ledger.keep_successor(SID, successor(2, 3), NOW + DAY)
        await ledger.acknowledge(SID, 2, NOW + 60)
        await ledger.acknowledge(SID, 2, NOW + 500)
        await passing(59)
        assert await ledger.successor(SID, 1) is not None
        await passing(2)
        assert await ledger.successor(SID, 1) is None
        assert await ledger.successor(SID, 2) is not None
        assert await ledger.successor(other, 1) is not None

    # Flights (rules F3, F8).

    @pytest.mark.req("F3")
    async def test_a_flight_is_one_owners(self, ledger: Ledger) -> None:
        """Whoever comes second is refused, until the first one leaves; another generation is another flight."""
        assert await ledger.enter_flight(SID, 1, ONE, NOW + DAY) is True
        assert await ledger.enter_flight(SID, 1, ONE, NOW + DAY) is True
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is False
        assert await ledger.enter_flight(SID, 2, OTHER, NOW + DAY) is True
        assert await ledger.enter_flight(mark_of_sid("other"), 1, OTHER, NOW + DAY) is True
        await ledger.leave_flight(SID, 1, OTHER)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is False
        await ledger.leave_flight(SID, 1, ONE)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is True

    @pytest.mark.req("F3")
    async def test_a_waiting_flight_lapses_two_seconds_after_its_last_renewal(
        self, ledger: Ledger, passing: Passing
    ) -> None:
        """Its owner is gone, and nothing was sent: nothing is in doubt."""
        await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
        await passing(1.5)
        assert await ledger.renew_flight(SID, 1, ONE) is True
        await passing(1.5)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is False
        await passing(0.6)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is True
        assert await ledger.is_uncertain(SID, 1) is False

    @pytest.mark.req("F3", "F8")
    async def test_a_flight_that_was_sent_is_taken_over_after_six_seconds_and_leaves_a_doubt(
        self, ledger: Ledger, passing: Passing
    ) -> None:
        """Renewed or not: no answer can be under way any longer, and nobody knows whether the token is spent."""
        await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
        assert await ledger.flight_sent(SID, 1, ONE) is True
        await passing(5)
        assert await ledger.renew_flight(SID, 1, ONE) is True
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is False
        assert await ledger.is_uncertain(SID, 1) is False
        await passing(1.1)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is True
        assert await ledger.is_uncertain(SID, 1) is True
        assert await ledger.is_uncertain(SID, 2) is False

    @pytest.mark.req("F3", "F8")
    async def test_a_request_that_is_repeated_has_six_seconds_of_its_own(
        self, ledger: Ledger, passing: Passing
    ) -> None:
        """The owner may send again, and nobody overtakes the second answer either."""
        await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
        await ledger.flight_sent(SID, 1, ONE)
        await passing(4)
        assert await ledger.flight_sent(SID, 1, ONE) is True
        await passing(4)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is False

    @pytest.mark.req("F3")
    async def test_who_lost_a_flight_sends_nothing(self, ledger: Ledger, passing: Passing) -> None:
        """Neither renewed nor sent nor left by an owner that was too slow; one that nobody overtook goes on."""
        await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
        await passing(2.1)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is True
        assert await ledger.renew_flight(SID, 1, ONE) is False
        assert await ledger.flight_sent(SID, 1, ONE) is False
        await ledger.leave_flight(SID, 1, ONE)
        assert await ledger.renew_flight(SID, 1, OTHER) is True
        await ledger.leave_flight(SID, 1, OTHER)
        assert await ledger.flight_sent(SID, 1, OTHER) is False

    @pytest.mark.req("F8")
    async def test_a_doubt_stays_to_the_sessions_end(self, ledger: Ledger, passing: Passing) -> None:
        """Of that generation only, whoever asks."""
        assert await ledger.is_uncertain(SID, 1) is False
        await ledger.note_uncertain(SID, 1, NOW + 100)
        assert await ledger.is_uncertain(SID, 1) is True
        assert await ledger.is_uncertain(mark_of_sid("other"), 1) is False
        await passing(101)
        assert await ledger.is_uncertain(SID, 1) is False

    @pytest.mark.req("F5")
    async def test_the_first_time_an_expired_generation_came_is_remembered(
        self, ledger: Ledger, passing: Passing
    ) -> None:
        """Later ones do not move it; another session has its own; it goes with the session."""
        assert await ledger.note_stale(SID, NOW, NOW + 100) == NOW
        assert await ledger.note_stale(SID, NOW + 7, NOW + 100) == NOW
        assert await ledger.note_stale(mark_of_sid("other"), NOW + 7, NOW + 100) == NOW + 7
        await passing(101)
        assert await ledger.note_stale(SID, NOW + 101, NOW + 200) == NOW + 101

    # What people and operators see and end (rules F11, F13).

    @pytest.mark.req("F11")
    async def test_an_operator_ends_what_a_person_has_begun_here(self, ledger: Ledger) -> None:
        """By our own clock: what the ID token says of its instant is the authorization server's."""
        await ledger.end(Ending.of_person(ISSUER, "alice", at=NOW, until=NOW + DAY))
        ahead, later = a_session(id_token_issued_at=NOW + 30), a_session(began_at=NOW + 1, id_token_issued_at=NOW - 30)
        found = ledger.view.ended(Marks.of(ahead), ahead.id_token_issued_at)
        assert found is not None
        assert found.reason is Reason.ADMIN
        assert ledger.view.ended(Marks.of(later), later.id_token_issued_at) is None
        assert ledger.view.ended(Marks.of(a_session(subject="bob")), NOW) is None

    @pytest.mark.req("F11")
    async def test_an_epoch_ends_everybodys(self, ledger: Ledger) -> None:
        """All that began until then; what begins afterwards lives."""
        await ledger.end(Ending.of_everybody(before=NOW, at=NOW + 5, until=NOW + DAY))
        found = ledger.view.ended(Marks.of(a_session(subject="bob")), NOW)
        assert found is not None
        assert found.reason is Reason.EPOCH
        assert ledger.view.ended(Marks.of(a_session(began_at=NOW + 1)), NOW) is None

    @pytest.mark.req("F11", "BCL-3")
    async def test_sessions_that_the_server_never_named_end_by_their_subject(self, ledger: Ledger) -> None:
        """Those without ``sid``, older than the instant; one that has a ``sid`` is meant by that alone."""
        await ledger.end(Ending.of_unnamed(ISSUER, "alice", Reason.BACKCHANNEL, before=NOW, at=NOW, until=NOW + DAY))
        unnamed = Marks.of(a_session(authority_sid=None))
        assert ledger.view.ended(unnamed, NOW) is not None
        assert ledger.view.ended(unnamed, NOW + 1) is None
        assert ledger.view.ended(Marks.of(a_session(authority_sid="as")), NOW) is None
        assert ledger.view.ended(Marks.of(a_session(authority_sid=None, subject="bob")), NOW) is None

    @pytest.mark.req("F9", "F13")
    async def test_a_person_has_a_list(self, ledger: Ledger, passing: Passing) -> None:
        """The last word on each session stands; others' lists are theirs; what cannot be alive is not on it."""
        one, two, alice, bob = mark_of_sid("1"), mark_of_sid("2"), mark_of_sid("alice"), mark_of_sid("bob")
        assert await ledger.listed(alice) == []
        await ledger.list_session(one, alice, b"old", NOW + 100)
        await ledger.list_session(one, alice, b"new", NOW + 100)
        await ledger.list_session(two, alice, b"two", NOW + 200)
        await ledger.list_session(mark_of_sid("3"), bob, b"three", NOW + 200)
        assert sorted(await ledger.listed(alice)) == sorted([(one, b"new"), (two, b"two")])
        await passing(101)
        assert await ledger.listed(alice) == [(two, b"two")]
        await ledger.unlist_session(two, bob)
        assert await ledger.listed(alice) == [(two, b"two")]
        await ledger.unlist_session(two, alice)
        assert await ledger.listed(alice) == []
