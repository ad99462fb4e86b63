"""What a way of keeping sessions cannot know about their ends: said at the start and in docs/sign-out.md (rule F13)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Limit(StrEnum):
    """One thing that cannot be known; the words are for a log."""

    COPIED_COOKIE = "copied_cookie"
    ELSEWHERE = "ends_elsewhere"
    IDLE_UNSEEN = "idle_unseen"
    REFRESH_TOKEN = "refresh_token_unread"  # noqa: S105 — a limit's name


MEANINGS: Final[dict[Limit, str]] = {
    Limit.COPIED_COOKIE: "after a sign-out a copied cookie works again, on another machine or after a restart, "
    "until the session's absolute end",
    Limit.ELSEWHERE: "back-channel and front-channel logout, the list of one's sessions and bff sessions are not "
    "there: such an end would not hold",
    Limit.IDLE_UNSEEN: "a session that nobody uses any more ends without an event; it is counted when its cookie comes "
    "again, if it does",
    Limit.REFRESH_TOKEN: "a session that ends without its cookie keeps its refresh token alive at the authorization "
    "server until that cookie comes again",
}
SERIOUS: Final = frozenset({Limit.COPIED_COOKIE, Limit.ELSEWHERE})
"""What weakens a sign-out, and has a cure: one ledger for all processes that outlives them."""


def limits_of(*, ledger: str, machines: int) -> tuple[Limit, ...]:
    """Those of a ledger ``file``, ``redis`` or ``memory`` on so many machines; where sessions lie changes none."""
    holds = ledger == "redis" or (ledger == "file" and machines == 1)
    always = (Limit.IDLE_UNSEEN, Limit.REFRESH_TOKEN)
    return always if holds else (Limit.COPIED_COOKIE, Limit.ELSEWHERE, *always)
