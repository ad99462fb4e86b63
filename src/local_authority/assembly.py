"""Options, configuration and seeds become what is registered and who can sign in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from local_authority.clients.credentials import Credential, read_credential
from local_authority.clients.registrations import Client, Registry, bff_client, daemon_client, todo_api
from local_authority.config import Configuration, ConfiguredPerson, read_configuration
from local_authority.errors import ConfigurationError
from local_authority.options import Options
from local_authority.people import Person, fold, hash_password, verify_password
from local_authority.secret_values import keyed_digest, new_secret, secret_in_file
from local_authority.seeds import PEOPLE, SeededPerson
from local_authority.store import Store


class Secret(msgspec.Struct, frozen=True):
    """A key of the authority's own: made at the first start, never printed."""

    value: str

    def __repr__(self) -> str:
        return "Secret()"


def configuration(options: Options) -> Configuration:
    """What ``--config`` names; nothing where there is none."""
    return Configuration() if options.config is None else read_configuration(options.config, built_in=(todo_api(),))


def registry(options: Options, configured: Configuration) -> Registry:
    """The file's clients and APIs; the built-in ones where the file names none."""
    clients = _built_in_clients(options) if configured.clients is None else configured.clients
    return Registry.of(clients, (todo_api(),) if configured.apis is None else configured.apis)


def people(options: Options, configured: Configuration, store: Store, *, hint_key: str) -> Iterable[Person]:
    """The file's people, or the seeded ones. A password that did not change is not derived anew."""
    listed = PEOPLE if configured.people is None else configured.people
    return [_person(person, store, options.password_cost, hint_key) for person in listed]


def own_secret(store: Store, name: str) -> str:
    """The secret of this name, made where there is none yet."""
    store.add(name, Secret(new_secret()))
    secret = store.get(Secret, name)
    assert secret is not None  # noqa: S101 — it was added in the line above
    return secret.value


def _built_in_clients(options: Options) -> tuple[Client, ...]:
    folder = options.data
    bff_secret = options.client_secret or _secret(options.client_secret_file or _in(folder, "bff-client-secret"))
    bff = bff_client(
        url=options.bff_url,
        secret=bff_secret,
        credentials=_credentials(options.client_certificate_file),
        redirects=options.client_redirects,
    )
    return bff, daemon_client(_secret(_in(folder, "daemon-client-secret")))


def _in(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name


def _secret(path: Path | None) -> str:
    return new_secret() if path is None else secret_in_file(path)


def _credentials(path: Path | None) -> tuple[Credential, ...]:
    if path is None:
        return ()
    try:
        return (read_credential(path.read_bytes()),)
    except OSError as error:
        raise ConfigurationError([f"--client-certificate-file {path}: cannot be read: {error.strerror}."]) from error
    except ConfigurationError as error:
        raise ConfigurationError([f"--client-certificate-file {path}: {error}"]) from error


def _person(listed: SeededPerson | ConfiguredPerson, store: Store, cost: int, hint_key: str) -> Person:
    known = store.get(Person, listed.oid)
    unchanged = known is not None and verify_password(listed.password, known.password)
    password = known.password if known is not None and unchanged else hash_password(listed.password, cost)
    configured = listed if isinstance(listed, ConfiguredPerson) else None
    return Person(
        oid=listed.oid,
        email=listed.email,
        name=listed.name,
        password=password,
        login_hint=keyed_digest(hint_key, fold(listed.email), listed.oid),
        roles=list(configured.roles) if configured else [],
        claims=dict(configured.claims) if configured else {},
    )
