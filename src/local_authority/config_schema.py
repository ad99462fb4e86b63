"""The tables and keys of ``people.toml``, with what each must be: the documentation's source of truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from local_authority.people import EMAIL, SHORTEST_PASSWORD
from local_authority.secret_values import SHORTEST_SECRET

RESERVED_CLAIMS: Final = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "nonce", "sid", "tid", "oid", "ver", "uti", "aio", "azp", "azpacr"),
        *("acr", "auth_time", "at_hash", "scp", "roles", "idtyp", "login_hint"),
    }
)


@dataclass(frozen=True, slots=True)
class Key:
    """What one key of a table must be; ``cure`` completes the sentence "must be …"."""

    holds: Callable[[Any], bool]
    cure: str
    required: bool = False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable()  # noqa: PLR2004 — longer is a paste gone wrong


def _is_guid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(name) and " " not in name for name in value)


def is_web_url(value: object) -> bool:
    """An absolute http(s) URL without fragment (RFC 6749 3.1.2) and without user."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "#" not in value and "@" not in parts.netloc


def _is_web_urls(value: object) -> bool:
    return isinstance(value, list) and all(is_web_url(url) for url in value)


def _is_claims(value: object) -> bool:
    return isinstance(value, dict) and not RESERVED_CLAIMS & value.keys()


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and len(value) >= SHORTEST_SECRET


def _is_password(value: object) -> bool:
    return isinstance(value, str) and len(value) >= SHORTEST_PASSWORD


def _is_email(value: object) -> bool:
    return isinstance(value, str) and EMAIL.fullmatch(value) is not None


GUID: Final = "a GUID in lower case, like 2d9e6b1a-c384-47f5-b02d-6a1f58e7c903"
TEXT: Final = "a text of 1 to 256 printable characters"
NAMES: Final = "a list of names without spaces"
URL: Final = "an absolute http(s) URL without fragment"

TABLES: Final[Mapping[str, Mapping[str, Key]]] = {
    "api": {
        "client_id": Key(_is_guid, GUID, required=True),
        "name": Key(_is_text, TEXT, required=True),
        "scopes": Key(_is_names, NAMES, required=True),
        "app_roles": Key(_is_names, NAMES),
    },
    "client": {
        "client_id": Key(_is_guid, GUID, required=True),
        "name": Key(_is_text, TEXT, required=True),
        "secret": Key(_is_secret, f"a text of at least {SHORTEST_SECRET} characters"),
        "secret_file": Key(_is_text, "the path of a file that holds the secret"),
        "certificate_file": Key(_is_text, "the path of a PEM certificate or public key"),
        "redirect_uris": Key(_is_web_urls, f"a list, each {URL}"),
        "post_logout_redirect_uris": Key(_is_web_urls, f"a list, each {URL}"),
        "backchannel_logout_uri": Key(is_web_url, URL),
        "frontchannel_logout_uri": Key(is_web_url, URL),
        "scopes": Key(_is_names, "a list of full scope names, like api://{api client id}/ToDoList.Read"),
        "app_roles": Key(_is_names, NAMES),
    },
    "person": {
        "email": Key(_is_email, "an email address", required=True),
        "name": Key(_is_text, TEXT, required=True),
        "password": Key(_is_password, f"a text of at least {SHORTEST_PASSWORD} characters", required=True),
        "oid": Key(_is_guid, GUID),
        "roles": Key(_is_names, NAMES),
        "claims": Key(_is_claims, f"a table without the claims that are ours: {', '.join(sorted(RESERVED_CLAIMS))}"),
    },
}


def shape_faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Everything in the file that is unknown, missing or of another kind, one sentence each, with the cure."""
    for table, entries in document.items():
        if table not in TABLES:
            yield f"[[{table}]] is unknown; there are {', '.join(f'[[{name}]]' for name in TABLES)}."
        elif not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            yield f"{table} must be written as [[{table}]], once for each."
        else:
            for number, entry in enumerate(entries, 1):
                yield from _entry_faults(table, number, entry)


def _entry_faults(table: str, number: int, entry: Mapping[str, Any]) -> Iterator[str]:
    keys = TABLES[table]
    for name, value in entry.items():
        if name not in keys:
            yield f"[[{table}]] {number}: {name} is unknown; there are {', '.join(keys)}."
        elif not keys[name].holds(value):
            yield f"[[{table}]] {number}: {name} must be {keys[name].cure}."
    for name, key in keys.items():
        if key.required and name not in entry:
            yield f"[[{table}]] {number}: {name} is missing; it must be {key.cure}."
