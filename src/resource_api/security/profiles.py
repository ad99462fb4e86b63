"""Three shapes of access token, chosen by setting and never guessed: what must be in them, and who calls by them.

entra-v2   Microsoft Entra: typ JWT, ver 2.0, tid, oid, azp; scp for a person, roles for an application
rfc9068    RFC 9068: typ at+jwt, client_id, jti; scope, roles
jwt        others' JWTs: typ JWT or none; azp, client_id or cid; scope or scp; nothing that marks an ID or logout token
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from resource_api.errors import InvalidToken
from resource_api.security.claims import Claims, frozen, guid, instant, is_guid, names, names_at, scope_names, text
from resource_api.security.principal import Principal
from resource_api.security.rules import ProfileName, TokenRules

_NOT_AN_ACCESS_TOKEN = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})
_CONTEXT_CLAIMS = frozenset({"acr", "acrs"})
_NOT_IN_THE_FUTURE = {
    "iat": "issued in the future: compare this machine's clock with the issuer's",
    "auth_time": "the person signs in in the future",
    "nbf": "not valid yet",
}
_CLIENT_CLAIMS = ("azp", "client_id", "cid")
_SCOPE_CLAIMS = frozenset({"scope", "scp"})
V1_CURE = (
    "this is a v1.0 token. Cure: set requestedAccessTokenVersion (accessTokenAcceptedVersion) to 2 in the API's app "
    "registration, and ask the v2.0 endpoint for a token"
)

Kind = Literal["user", "app"]


@dataclass(frozen=True, slots=True)
class Profile:
    """The ``typ`` values it takes, in lower case (None: absent), and its own numbered steps after the common ones."""

    types: frozenset[str | None]
    principal: Callable[[Claims, TokenRules], Principal]


def _entra_v2(claims: Claims, rules: TokenRules) -> Principal:
    """Entra External ID and Entra ID, v2.0 (K-01…K-19)."""
    if claims.get("ver") != "2.0":
        raise InvalidToken("11 kind", V1_CURE if claims.get("ver") == "1.0" else "ver is not 2.0")
    _refuse_other_kinds(claims)
    tenant = guid(claims, "tid", "12 tenant")
    if f"/{tenant}/" not in f"{claims['iss']}/".lower():
        raise InvalidToken("12 tenant", "tid is not the tenant of iss")
    object_id = guid(claims, "oid", "14 caller")
    scopes, roles = scope_names(claims, "scp", "14 caller"), names(claims, "roles", "14 caller")
    return _principal(
        claims,
        rules,
        kind=_entra_kind(claims, scopes, roles),
        client_id=text(claims, "azp", "13 client"),
        scopes=scopes,
        roles=roles,
        tenant=tenant,
        object_id=object_id,
    )


def _entra_kind(claims: Claims, scopes: frozenset[str], roles: frozenset[str]) -> Kind:
    """``idtyp`` decides where it is sent (K-11, A-23); without it, roles and no scope are an application's."""
    if "idtyp" not in claims:
        return "app" if roles and not scopes else "user"
    if claims["idtyp"] == "app" and not scopes:
        return "app"
    if claims["idtyp"] == "user":
        return "user"
    raise InvalidToken("14 caller", "idtyp is neither user nor app, or an app's token has delegated scopes")


def _rfc9068(claims: Claims, rules: TokenRules) -> Principal:
    """RFC 9068 2.2; a token whose subject is its client is the client's own (RFC 9068 5)."""
    _refuse_other_kinds(claims)
    client_id = text(claims, "client_id", "13 client")
    text(claims, "jti", "11 kind")
    return _principal(
        claims,
        rules,
        kind="app" if claims["sub"] == client_id else "user",
        client_id=client_id,
        scopes=scope_names(claims, "scope", "14 caller"),
        roles=names_at(claims, rules.roles_claim, "14 caller"),
    )


def _jwt(claims: Claims, rules: TokenRules) -> Principal:
    """JWTs of before RFC 9068, or beside it: strict about what they must not be, lenient about a claim's name."""
    _refuse_other_kinds(claims)
    client_id = text(claims, next((name for name in _CLIENT_CLAIMS if name in claims), "client_id"), "13 client")
    return _principal(
        claims,
        rules,
        kind=_jwt_kind(claims, client_id),
        client_id=client_id,
        scopes=_any_scopes(claims),
        roles=_roles_or_scopes(claims, rules),
    )


def _jwt_kind(claims: Claims, client_id: str) -> Kind:
    """An application says so (``idtyp``), or is its own subject; Auth0 writes that subject as ``<client>@clients``."""
    if claims.get("idtyp") == "app" or claims["sub"] == client_id:
        return "app"
    auth0 = claims.get("gty") == "client-credentials" and claims["sub"] == f"{client_id}@clients"
    return "app" if auth0 else "user"


def _roles_or_scopes(claims: Claims, rules: TokenRules) -> frozenset[str]:
    """Where ``roles_claim`` names the scopes themselves, what an application was granted is its app roles."""
    if rules.roles_claim in _SCOPE_CLAIMS:
        return _any_scopes(claims)
    return names_at(claims, rules.roles_claim, "14 caller")


def _any_scopes(claims: Claims) -> frozenset[str]:
    if "scope" in claims:
        return scope_names(claims, "scope", "14 caller")
    if isinstance(claims.get("scp"), list):
        return names(claims, "scp", "14 caller")
    return scope_names(claims, "scp", "14 caller")


def _refuse_other_kinds(claims: Claims) -> None:
    """Refuse ID and logout tokens (RFC 8725 3.12), and tokens bound to a key that cannot be checked (RFC 7800 3.1)."""
    if not _NOT_AN_ACCESS_TOKEN.isdisjoint(claims):
        raise InvalidToken("11 kind", f"{min(_NOT_AN_ACCESS_TOKEN & claims.keys())} is never in an access token")
    if claims.get("token_use", "access") != "access" or claims.get("typ", "Bearer") != "Bearer":
        raise InvalidToken("11 kind", "it calls itself something else than an access token")
    if "cnf" in claims:
        raise InvalidToken("11 kind", "it is bound to a key (cnf), and proof of possession cannot be checked here")


def _principal(
    claims: Claims,
    rules: TokenRules,
    *,
    kind: Kind,
    client_id: str,
    scopes: frozenset[str],
    roles: frozenset[str],
    tenant: str | None = None,
    object_id: str | None = None,
) -> Principal:
    """The last steps, common to all: allow-lists, and something that was granted to somebody (A-26)."""
    if rules.tenants and tenant not in rules.tenants:
        raise InvalidToken("12 tenant", "not in tenant_allow_list")
    if rules.clients and client_id not in rules.clients:
        raise InvalidToken("13 client", "not in client_allow_list")
    if not (roles if kind == "app" else scopes or roles):
        raise InvalidToken("14 caller", "neither scopes nor app roles were granted")
    return Principal(
        kind=kind,
        issuer=claims["iss"],
        subject=claims["sub"],
        owner=object_id or claims["sub"],
        client_id=client_id,
        scopes=scopes if kind == "user" else frozenset(),
        app_roles=roles if kind == "app" else frozenset(),
        expires_at=instant(claims, "exp", "10 times"),
        issued_at=instant(claims, "iat", "10 times"),
        tenant=tenant,
        object_id=object_id,
        contexts=_contexts(claims),
        authenticated_at=instant(claims, "auth_time", "10 times") if "auth_time" in claims else None,
        understands_claims_challenge=_understands_challenges(claims),
        claims=frozen(claims),
    )


def check_audience(claims: Claims, rules: TokenRules) -> None:
    """``aud`` names us, alone or among others (RFC 7519 4.1.3)."""
    if rules.client_names_audience and "aud" not in claims:
        return  # step 13 holds the client against the allow-list, without which this rule cannot be configured
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(one, str) for one in audiences):
        raise InvalidToken("9 audience", "aud is neither a string nor an array of strings")
    if rules.audience not in audiences:
        expected = f"aud does not name {rules.audience}"
        raise InvalidToken("9 audience", V1_CURE if claims.get("ver") == "1.0" else expected)


def check_times(claims: Claims, rules: TokenRules, now: float) -> None:
    """``exp``, ``iat`` and, where they are there, ``nbf`` and ``auth_time``, each within the leeway."""
    if instant(claims, "exp", "10 times") <= now - rules.leeway:
        raise InvalidToken("10 times", "expired")
    for name, meaning in _NOT_IN_THE_FUTURE.items():
        if (name in claims or name == "iat") and instant(claims, name, "10 times") > now + rules.leeway:
            raise InvalidToken("10 times", meaning)


def _contexts(claims: Claims) -> frozenset[str]:
    """How the person signed in: ``acr`` (RFC 9068 2.2.1), and the contexts of Entra's ``acrs`` (K-17)."""
    if _CONTEXT_CLAIMS.isdisjoint(claims):
        return frozenset()
    acr = frozenset({text(claims, "acr", "14 caller")}) if "acr" in claims else frozenset[str]()
    return acr | names(claims, "acrs", "14 caller")


def _understands_challenges(claims: Claims) -> bool:
    """Whether the client declared ``cp1``, in any case (K-62, K-63)."""
    return "xms_cc" in claims and "cp1" in {capability.lower() for capability in names(claims, "xms_cc", "14 caller")}


def valid_owner(profile: ProfileName, value: str) -> str | None:
    """An owner as this profile's principals have it, or None: a GUID in lower case, else 1 to 255 characters."""
    if profile == "entra-v2":
        return value.lower() if is_guid(value) else None
    return value if 0 < len(value) <= 255 and value.isprintable() else None  # noqa: PLR2004 — because it is MAX_TEXT's meaning


PROFILES: Final[Mapping[ProfileName, Profile]] = {
    "entra-v2": Profile(frozenset({"jwt"}), _entra_v2),
    "rfc9068": Profile(frozenset({"at+jwt", "application/at+jwt"}), _rfc9068),
    "jwt": Profile(frozenset({"jwt", None}), _jwt),
}
