"""What ID token and logout token have in common: one compact JWS, of a kind we expect, signed by the issuer's own key.

Its steps have the numbers of OIDC Core 3.1.3.7, where Back-Channel Logout 2.6 finds them too; how a failed one is told
is the caller's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from joserfc.util import urlsafe_b64decode

from bff.errors import BFFError
from bff.oidc.key_set import VerificationKey
from bff.oidc.messages import Claims
from bff.oidc.strict_json import parse_object

MAX_CHARACTERS = 16 * 1024
MAX_KID_CHARACTERS = 256
MAX_SUBJECT_CHARACTERS = 255
KEY_NOT_PUBLISHED = "6, key"
"""The step that fails when no published key fits the token."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)+")
_REFUSED_HEADERS = frozenset({"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"})

Refusal = Callable[[str, str], BFFError]
"""Makes the error for a step that failed, from the step's number and why."""


class KeySource(Protocol):
    """Where the issuer's keys come from; ``KeySet`` is one."""

    async def matching(self, *, kid: str | None, alg: str, refetch: bool = False) -> Sequence[VerificationKey]:
        """The published keys that may have signed; ``refetch`` looks at the issuer once more, if that is due."""
        ...


async def signed_claims(
    token: str, *, keys: KeySource, algorithms: Sequence[str], types: frozenset[str], refuse: Refusal
) -> tuple[Mapping[str, Any], Claims]:
    """The header and the claims of a token whose signature is good; nothing of an unsigned one is ever weighed.

    ``types`` are the values that ``typ`` may have, in capitals; a token without one is taken. Raises what ``refuse``
    makes, and AuthorizationServerUnavailable where the issuer's keys cannot be had.
    """
    signing_input, header, payload, signature = _form(token, types, refuse)
    alg, kid = header.get("alg"), header.get("kid")
    # 7 and 8. From our settings, never from the header or the metadata (RFC 8725 3.1); no setting can name a MAC.
    if not isinstance(alg, str) or alg not in algorithms:
        raise refuse("7", "its algorithm is none of authority.algorithms")
    # 6. Once with the keys we know, and once more after a refetch: for a key that is new, or new under an old name.
    candidates: Sequence[VerificationKey] = ()
    for refetch in (False, True):
        candidates = await keys.matching(kid=kid, alg=alg, refetch=refetch)
        if any(key.verifies(alg=alg, signing_input=signing_input, signature=signature) for key in candidates):
            return header, _read_object(payload, refuse)
    if not candidates:
        raise refuse(KEY_NOT_PUBLISHED, "the issuer publishes no key for it")
    raise refuse("6", "no published key made its signature")


def audiences_of(claims: Claims, step: str, refuse: Refusal) -> frozenset[str]:
    """The audiences, one or several (RFC 7519 4.1.3); raises what ``refuse`` makes."""
    stated = claims.get("aud")
    audiences = [stated] if isinstance(stated, str) else stated
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise refuse(step, "aud is neither a text nor a list of texts")
    return frozenset(audiences)


def instant_of(claims: Claims, name: str, step: str, refuse: Refusal) -> float:
    """An instant in seconds since the epoch (RFC 7519 2, NumericDate); raises what ``refuse`` makes."""
    value = claims.get(name)
    # A boolean is a number to Python and to nobody else; 2^53 keeps every sum below exact.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2**53:
        raise refuse(step, f"{name} is no instant in seconds")
    return float(value)


def _form(token: str, types: frozenset[str], refuse: Refusal) -> tuple[bytes, Mapping[str, Any], bytes, bytes]:
    """0 and 1: three parts of base64url with a header that asks for nothing we do not do, and not five (RFC 7516)."""
    if len(token) > MAX_CHARACTERS or not _COMPACT.fullmatch(token):
        raise refuse("0", f"it is no compact token of at most {MAX_CHARACTERS} characters")
    parts = token.encode("ascii").split(b".")
    if len(parts) == 5:  # noqa: PLR2004 — a JWE has five parts (RFC 7516 3.1)
        raise refuse("1", "it is encrypted")
    if len(parts) != 3:  # noqa: PLR2004 — a JWS has three parts (RFC 7515 3.1)
        raise refuse("0", "it has not three parts")
    try:
        header_bytes, payload, signature = (urlsafe_b64decode(part) for part in parts)
    except ValueError:
        raise refuse("0", "a part of it is not base64url") from None
    header = _read_object(header_bytes, refuse)
    _check_header(header, types, refuse)
    return parts[0] + b"." + parts[1], header, payload, signature


def _read_object(content: bytes, refuse: Refusal) -> dict[str, Any]:
    try:
        return parse_object(content)
    except ValueError as malformed:
        raise refuse("0", str(malformed)) from None


def _check_header(header: Mapping[str, Any], types: frozenset[str], refuse: Refusal) -> None:
    if refused := sorted(_REFUSED_HEADERS.intersection(header)):
        raise refuse("0", f"its header holds {', '.join(refused)}")
    typ, kid = header.get("typ"), header.get("kid", "")
    if "typ" in header and not (isinstance(typ, str) and typ.upper() in types):
        raise refuse("0", f"its typ is not {' or '.join(sorted(types))}")
    if not isinstance(kid, str) or len(kid) > MAX_KID_CHARACTERS:
        raise refuse("0", "its kid is no short text")
