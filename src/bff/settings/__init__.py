"""What an operator decides: ``bff.toml`` and ``BFF_*`` variables, read once, by ``app.py`` and ``cli.py`` alone.

What must never vary is no setting: cookie flags, PKCE S256, ``response_type=code``, TLS verification, the nonce.
A setting that cannot work stops the start; all such settings are named at once, each with its cure.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from bff.errors import ConfigurationError
from bff.settings.compatibility import LedgerKind, Rotation, Row, Store, fault_of, row_of
from bff.settings.faults import causes, is_loopback, url_fault
from bff.settings.tables import (
    AuthoritySettings,
    PageSettings,
    RelaySettings,
    RouteSettings,
    RuleSettings,
    ServerSettings,
    SessionSettings,
)

__all__ = [
    "AuthoritySettings",
    "BFFSettings",
    "PageSettings",
    "RelaySettings",
    "RouteSettings",
    "RuleSettings",
    "ServerSettings",
    "SessionSettings",
    "load_settings",
    "promise_of",
]


class BFFSettings(BaseSettings):
    """All settings. Precedence: arguments, then ``BFF_<TABLE>__<KEY>`` variables, then the TOML file."""

    model_config = SettingsConfigDict(
        env_prefix="BFF_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    public_url: str
    server: ServerSettings = Field(default_factory=ServerSettings)
    authority: AuthoritySettings
    session: SessionSettings = Field(default_factory=SessionSettings)
    page: PageSettings = Field(default_factory=PageSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)
    route: tuple[RouteSettings, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — the signature is pydantic-settings' own
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then the file; no ``.env``, so that what a process reads is what it was given."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults_at_once(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 — as pydantic calls it
        """Judge the tables and what lies between them together; raises ConfigurationError with every cause."""
        try:
            settings = handler(values)
        except ValidationError as error:
            failed = {str(fault["loc"][0]) for fault in error.errors(include_input=False, include_url=False)}
            raise ConfigurationError(causes(error) + faults_between(_sound_tables(cls, values, failed))) from error
        if faults := faults_between({name: getattr(settings, name) for name in cls.model_fields}):
            raise ConfigurationError(faults)
        return settings

    @property
    def origin(self) -> str:
        """``public_url`` without a trailing slash: an origin, compared byte for byte."""
        return self.public_url.rstrip("/")


def _sound_tables(settings: type[BFFSettings], values: dict[str, Any], failed: set[str]) -> dict[str, Any]:
    """The tables that have no fault of their own, each validated by itself."""
    sound: dict[str, Any] = {}
    for name, field in settings.model_fields.items():
        annotation: Any = field.annotation
        if name in values and name not in failed:
            sound[name] = TypeAdapter[Any](annotation).validate_python(values[name])
        elif name not in values and not field.is_required():
            sound[name] = field.get_default(call_default_factory=True)
    return sound


def faults_between(tables: Mapping[str, Any]) -> list[str]:
    """What no single table shows, as far as the tables it takes are there."""
    public_url, server = tables.get("public_url"), tables.get("server")
    session, authority, page = tables.get("session"), tables.get("authority"), tables.get("page")
    faults = [] if public_url is None else _public_url_faults(public_url)
    if session is not None and session.keys_file is None:
        if public_url is not None and not is_loopback(public_url):
            faults.append("session.keys_file is missing. Cure: bff keys new --file keys.json, for every replica")
        if server is not None and server.workers > 1:
            faults.append("session.keys_file is missing: each worker would make its own keys. Cure: bff keys new")
    if page is not None and page.picture and public_url is not None and not is_loopback(public_url):
        faults.append("page.picture draws every sign-in for anybody: development machines only. Cure: remove it")
    if session is not None and authority is not None:
        faults += _rotation_faults(session, authority, server)
    return faults


def _public_url_faults(public_url: str) -> list[str]:
    parts = urlsplit(public_url)
    faults = url_fault("public_url", public_url)
    if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
        faults.append("public_url holds more than an origin. Cure: write scheme://host[:port] and nothing behind it")
    return faults


def promise_of(session: SessionSettings, authority: AuthoritySettings, server: ServerSettings) -> Row:
    """What a refresh can be promised with these settings (docs/sessions.md)."""
    return row_of(*_deployment(session, authority), several=_are_several(session, server))


def _rotation_faults(
    session: SessionSettings, authority: AuthoritySettings, server: ServerSettings | None
) -> list[str]:
    """Rules F13, F14: what can never be safe is refused, with the table of what can."""
    return fault_of(*_deployment(session, authority), several=_are_several(session, server))


def _deployment(session: SessionSettings, authority: AuthoritySettings) -> tuple[Store, LedgerKind, Rotation]:
    kind = session.ledger.partition(":")[0]
    return session.store, kind if kind in {"redis", "memory"} else "file", authority.rotation  # type: ignore[return-value]  # the set says which kinds these are


def _are_several(session: SessionSettings, server: ServerSettings | None) -> bool:
    """Workers share a file, and each has a memory of its own."""
    return session.machines > 1 or (session.ledger == "memory" and server is not None and server.workers > 1)


def load_settings(config: Path | None = None) -> BFFSettings:
    """Read the settings, or raise ConfigurationError with every cause and its cure."""
    named = config or (Path(os.environ["BFF_CONFIG"]) if "BFF_CONFIG" in os.environ else None)
    path = named or Path("bff.toml")
    if named is not None and not path.is_file():
        raise ConfigurationError([f"{path} is no file. Cure: --config PATH, or BFF_CONFIG, or a bff.toml beside you"])

    class FromFile(BFFSettings):
        model_config = SettingsConfigDict(toml_file=path if path.is_file() else None)

    strangers = _unknown_variables()
    try:
        settings = FromFile()  # type: ignore[call-arg]  # because the sources fill them in
    except ConfigurationError as error:
        raise ConfigurationError(strangers + error.causes) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path} is no TOML: {error}. Cure: correct that line"]) from error
    if strangers:
        raise ConfigurationError(strangers)
    return settings


def _unknown_variables() -> list[str]:
    """Name every BFF_* variable that no setting reads: a typo must not be silence."""
    known = {f"BFF_{field.upper()}" for field in BFFSettings.model_fields} | {"BFF_CONFIG"}
    names = (name for name in os.environ if name.startswith("BFF_") and name.split("__")[0] not in known)
    return [f"{name}: no setting has this name. Cure: correct the spelling, or unset it" for name in sorted(names)]
