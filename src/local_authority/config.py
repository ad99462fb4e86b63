"""``--config people.toml``: a team's own APIs, clients and people. All faults of the file are said at once."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid5

from local_authority.clients.credentials import Credential, read_credential
from local_authority.clients.registrations import API, Client
from local_authority.config_schema import shape_faults
from local_authority.errors import ConfigurationError
from local_authority.people import fold
from local_authority.secret_values import SHORTEST_SECRET
from local_authority.seeds import TENANT_ID

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredPerson:
    """A person of the file, with the password still in clear."""

    oid: str
    email: str
    name: str
    password: str = field(repr=False)
    roles: tuple[str, ...] = ()
    claims: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file holds; None where it has no such table, so that the built-in ones stay."""

    apis: tuple[API, ...] | None = None
    clients: tuple[Client, ...] | None = None
    people: tuple[ConfiguredPerson, ...] | None = None


def read_configuration(path: Path, *, built_in: tuple[API, ...]) -> Configuration:
    """The file's content; ConfigurationError with every fault. ``built_in`` APIs stand where it names none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"--config {path}: cannot be read as TOML: {error}."]) from error
    causes = list(shape_faults(document))
    if not causes:
        reader = _Reader(document, path.parent)
        found = Configuration(reader.apis(), reader.clients(), reader.people())
        causes = [*reader.causes, *_cross_faults(found, built_in)]
    if causes:
        raise ConfigurationError([f"--config {path}: {cause}" for cause in causes])
    return found


class _Reader:
    """Turns tables of the right shape into values; what only another file can tell goes to ``causes``."""

    def __init__(self, document: Mapping[str, Any], folder: Path) -> None:
        self._document = document
        self._folder = folder
        self.causes: list[str] = []

    def apis(self) -> tuple[API, ...] | None:
        return self._each("api", _api)

    def clients(self) -> tuple[Client, ...] | None:
        return self._each("client", self._client)

    def people(self) -> tuple[ConfiguredPerson, ...] | None:
        return self._each("person", _person)

    def _each(self, table: str, read: Callable[[Mapping[str, Any]], Value]) -> tuple[Value, ...] | None:
        return tuple(read(entry) for entry in self._document[table]) if table in self._document else None

    def _client(self, entry: Mapping[str, Any]) -> Client:
        scopes = entry.get("scopes")
        return Client(
            client_id=entry["client_id"],
            name=entry["name"],
            oid=_stable_id(f"client:{entry['client_id']}"),
            secret=self._secret(entry),
            credentials=self._credentials(entry),
            redirect_uris=frozenset(entry.get("redirect_uris", [])),
            post_logout_redirect_uris=frozenset(entry.get("post_logout_redirect_uris", [])),
            backchannel_logout_uri=entry.get("backchannel_logout_uri"),
            frontchannel_logout_uri=entry.get("frontchannel_logout_uri"),
            scopes=None if scopes is None else frozenset(scopes),
            app_roles=frozenset(entry.get("app_roles", [])),
        )

    def _secret(self, entry: Mapping[str, Any]) -> str | None:
        if "secret_file" not in entry:
            return entry.get("secret")
        secret = self._read(entry, "secret_file").decode("utf-8", "replace").strip()
        if len(secret) < SHORTEST_SECRET:
            self.causes.append(f"{_name(entry)}: secret_file must hold at least {SHORTEST_SECRET} characters.")
        return secret

    def _credentials(self, entry: Mapping[str, Any]) -> tuple[Credential, ...]:
        if "certificate_file" not in entry or not (pem := self._read(entry, "certificate_file")):
            return ()
        try:
            return (read_credential(pem),)
        except ConfigurationError as error:
            self.causes.append(f"{_name(entry)}: certificate_file: {error}")
            return ()

    def _read(self, entry: Mapping[str, Any], key: str) -> bytes:
        try:
            return (self._folder / str(entry[key])).read_bytes()
        except OSError as error:
            self.causes.append(f"{_name(entry)}: {key} {entry[key]} cannot be read: {error.strerror}.")
            return b""


def _api(entry: Mapping[str, Any]) -> API:
    return API(
        client_id=entry["client_id"],
        name=entry["name"],
        scopes=tuple(entry["scopes"]),
        app_roles=tuple(entry.get("app_roles", [])),
    )


def _person(entry: Mapping[str, Any]) -> ConfiguredPerson:
    return ConfiguredPerson(
        oid=entry.get("oid") or _stable_id(f"person:{fold(entry['email'])}"),
        email=entry["email"],
        name=entry["name"],
        password=entry["password"],
        roles=tuple(entry.get("roles", [])),
        claims=entry.get("claims", {}),
    )


def _stable_id(name: str) -> str:
    """The same GUID for the same name on every start: an object id must outlive a restart (K-05)."""
    return str(uuid5(UUID(TENANT_ID), name))


def _name(entry: Mapping[str, Any]) -> str:
    return f"[[client]] {entry['client_id']}"


def _cross_faults(found: Configuration, built_in: tuple[API, ...]) -> Iterator[str]:
    apis = built_in if found.apis is None else found.apis
    clients, people = found.clients or (), found.people or ()
    yield from _repeated("[[api]]", "client_id", [api.client_id for api in apis])
    yield from _repeated("[[client]]", "client_id", [client.client_id for client in clients])
    yield from _repeated("[[person]]", "email", [fold(person.email) for person in people])
    yield from _repeated("[[person]]", "oid", [person.oid for person in people])
    for client in clients:
        yield from _client_faults(client, apis)
    known = {role for api in apis for role in api.app_roles}
    for person in people:
        if unknown := set(person.roles) - known:
            yield f"[[person]] {person.email}: no API has the role {', '.join(sorted(unknown))}."


def _client_faults(client: Client, apis: tuple[API, ...]) -> Iterator[str]:
    place = f"[[client]] {client.client_id}"
    if client.secret is None and not client.credentials:
        yield f"{place}: give it a secret, a secret_file or a certificate_file."
    if unknown := (client.scopes or frozenset()) - {f"{api.uri}/{name}" for api in apis for name in api.scopes}:
        yield f"{place}: no API has the scope {', '.join(sorted(unknown))}; write it like api://{{api client id}}/name."
    if unknown := client.app_roles - {role for api in apis for role in api.app_roles}:
        yield f"{place}: no API has the app role {', '.join(sorted(unknown))}."


def _repeated(table: str, key: str, values: list[str]) -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            yield f"{table}: {key} {value} stands there {times} times; each needs its own."
