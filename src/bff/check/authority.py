"""The authorization server as it presents itself: metadata, keys, PKCE, clock, what it can do at sign-out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from joserfc.util import base64_to_int

from bff.check.finding import Finding, failed, passed, warned
from bff.errors import AuthorizationServerUnavailable
from bff.oidc.back_channel import BackChannel
from bff.oidc.key_set import ALGORITHMS, MIN_RSA_BITS, usable_keys
from bff.oidc.metadata import AuthorizationServer
from bff.settings import BFFSettings

FINE_SKEW = 5.0


async def check_authority(
    settings: BFFSettings, back_channel: BackChannel
) -> tuple[AuthorizationServer | None, list[Finding]]:
    """The server, where it can be believed, and what there is to say about it."""
    authority = settings.authority
    url = authority.effective_metadata_url
    try:
        document, _ = await back_channel.fetch_json(url)
    except AuthorizationServerUnavailable as outage:
        cure = "open that address yourself; correct issuer or metadata_url, ca_file or proxy_url"
        return None, [failed("discovery", f"no metadata: {outage.detail}.", cure)]
    findings = [*_issuer(document, authority.issuer), *_pkce(document), *_skew(settings, back_channel.skew)]
    findings += _scopes(document, settings)
    try:
        server = AuthorizationServer.parse(document, issuer=authority.issuer)
    except ValueError as refusal:
        if not any(one.level == "fail" for one in findings):
            findings.append(failed("discovery", f"{url}: {refusal}.", "the server must publish https endpoints"))
        return None, findings
    findings += await _keys(settings, server, back_channel)
    findings += _single_sign_out(document, settings)
    return server, findings


def _issuer(document: Mapping[str, Any], expected: str) -> Iterator[Finding]:
    received = document.get("issuer")
    if received == expected:
        yield passed("discovery", f"the metadata names the issuer {expected}.")
    else:
        yield failed(
            "discovery",
            f"expected the issuer {expected!r}, received {received!r:.200}; they are compared letter by letter.",
            "set issuer to what was received, if that is your server; keep a trailing slash if it has one",
        )


def _pkce(document: Mapping[str, Any]) -> Iterator[Finding]:
    methods = document.get("code_challenge_methods_supported")
    if methods is None:
        yield warned("pkce", "the server does not say whether it supports PKCE; S256 is sent all the same.", "none")
    elif isinstance(methods, list) and "S256" in methods:
        yield passed("pkce", "S256 is supported.")
    else:
        yield failed("pkce", f"the server offers {methods!r:.80}, without S256.", "switch S256 on for this client")


def _skew(settings: BFFSettings, skew: float | None) -> Iterator[Finding]:
    leeway = settings.authority.leeway_seconds
    if skew is None:
        yield warned(
            "clock", "the server sends no Date, so its clock cannot be compared.", "compare with a time server"
        )
    elif abs(skew) > leeway:
        yield failed(
            "clock",
            f"the server's clock is {skew:+.0f} s from ours, and leeway_seconds is {leeway}: tokens will be refused.",
            "set this machine's clock by NTP",
        )
    elif abs(skew) > FINE_SKEW:
        yield warned("clock", f"the server's clock is {skew:+.0f} s from ours.", "set this machine's clock by NTP")
    else:
        yield passed("clock", f"the clocks are {abs(skew):.1f} s apart.")


def _scopes(document: Mapping[str, Any], settings: BFFSettings) -> Iterator[Finding]:
    scopes, offered = settings.authority.scopes, document.get("scopes_supported")
    if "offline_access" not in scopes and settings.authority.refresh_rotation is None:
        yield warned(
            "scopes",
            "offline_access is not asked for: most servers then send no refresh token, and a session's calls end with "
            "its first access token.",
            "add offline_access to scopes",
        )
    resources = {scope.rpartition("/")[0] for scope in scopes if "://" in scope}
    if len(resources) > 1 and settings.authority.profile == "entra-external-id":
        yield failed(
            "scopes",
            f"scopes of {len(resources)} APIs are asked for at once; Entra issues a token for one.",
            "leave one API's scopes in the list",
        )
    standard = {"openid", "profile", "email", "offline_access", "address", "phone"} & set(scopes)
    if isinstance(offered, list) and (unknown := sorted(standard - set(offered) - {"offline_access"})):
        yield warned("scopes", f"the server does not offer {', '.join(unknown)}.", "remove what it does not know")


async def _keys(settings: BFFSettings, server: AuthorizationServer, back_channel: BackChannel) -> list[Finding]:
    try:
        document, _ = await back_channel.fetch_json(server.jwks_uri)
    except AuthorizationServerUnavailable as outage:
        return [failed("signing keys", f"no key set: {outage.detail}.", "let this machine reach jwks_uri")]
    entries = [one for one in document.get("keys") or [] if isinstance(one, dict)]
    if any("d" in one for one in entries):
        return [failed("signing keys", "the key set publishes a PRIVATE key: anybody can sign.", "rotate it at once")]
    wanted = {ALGORITHMS[one] for one in settings.authority.algorithms}
    usable = [key for key in usable_keys(document) if (key.kty, key.crv) in wanted]
    weak = [one for one in entries if one.get("kty") == "RSA" and _bits(one) < MIN_RSA_BITS]
    if not usable:
        what = f"RSA of {_bits(weak[0])} bits" if weak else ", ".join(sorted({str(one.get("kty")) for one in entries}))
        cure = f"sign with RSA of {MIN_RSA_BITS} bits or more, or EC; and see that algorithms names it"
        return [failed("signing keys", f"no key can verify an ID token; the set holds {what or 'none'}.", cure)]
    twice = [kid for kid, count in Counter(key.kid for key in usable).items() if count > 1]
    if weak or twice:
        return [
            warned(
                "signing keys",
                f"{len(usable)} usable keys, {len(weak)} too weak, {len(twice)} ids used twice.",
                "remove the weak ones, and give every key its own kid",
            )
        ]
    return [passed("signing keys", f"{len(usable)} usable, e.g. {usable[0].kty} {usable[0].kid!r:.60}.")]


def _bits(jwk: Mapping[str, Any]) -> int:
    try:
        return base64_to_int(str(jwk.get("n"))).bit_length()
    except ValueError:
        return 0


def _single_sign_out(document: Mapping[str, Any], settings: BFFSettings) -> Iterator[Finding]:
    origin, session = settings.origin, settings.session
    if session.machines > 1 or session.ledger == "memory":
        yield warned(
            "single sign-out",
            "a sign-out elsewhere does not end the session here: it would hold on one machine, or until a restart.",
            'one machine, and ledger = "file:…"',
        )
    elif document.get("backchannel_logout_supported") is True:
        yield passed("single sign-out", f"by back channel: register {origin}/bff/backchannel-logout.")
    elif document.get("frontchannel_logout_supported") is True:
        yield passed(
            "single sign-out",
            f"by front channel: register {origin}/bff/frontchannel-logout, and have the claim sid put into ID tokens.",
        )
    else:
        yield warned(
            "single sign-out",
            "the server announces none: a sign-out elsewhere does not end the session here.",
            "keep session.absolute short",
        )
