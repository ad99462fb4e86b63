"""What an operator decides: ``resource_api.toml`` and ``RESOURCE_API_*`` variables, read once and nowhere else.

A setting that cannot work stops the start; all such settings are named at once, each with its cure. A key or a variable
that nobody knows is one of them: a misspelt allow-list must not be an absent one.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from resource_api.errors import ConfigurationError
from resource_api.security import (
    Introspection,
    Issuer,
    ProfileName,
    TokenRules,
    configuration_faults,
    introspection_faults,
    resource_faults,
)
from resource_api.todos.database import database_faults

PREFIX: Final = "RESOURCE_API_"
CONFIG_VARIABLE: Final = "RESOURCE_API_CONFIG"
USUAL_FILE: Final = Path("resource_api.toml")


def _listed(value: object) -> object:
    """An environment variable holds a list as values separated by commas."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


class ResourceAPISettings(BaseSettings):
    """Every setting; ``issuers`` stay the exact strings they are compared as. Raises ConfigurationError, never another.

    ``metadata_url`` and ``jwks_uri`` belong to the only issuer. A secret may also come from a file, as ``<key>_file``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    issuers: Listed = ()
    audience: str = ""
    profile: ProfileName = "entra-v2"
    metadata_url: str | None = None
    jwks_uri: str | None = None
    algorithms: Listed = ("RS256", "ES256")
    client_allow_list: Listed = ()
    tenant_allow_list: Listed = ()
    roles_claim: str = Field(default="roles", min_length=1)
    client_names_audience: bool = False
    resource: str | None = None
    introspection_url: str | None = None
    introspection_client_id: str = ""
    introspection_client_secret: SecretStr = SecretStr("")
    introspection_client_secret_file: Path | None = None
    leeway_seconds: float = Field(default=30, ge=0, le=300)
    ca_file: Path | None = None
    database_url: SecretStr = SecretStr("sqlite+aiosqlite:///todos.sqlite")
    database_url_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=3001, ge=0, le=65535)
    drain_seconds: int = Field(default=20, ge=0, le=600)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — because pydantic-settings calls with all of them
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — because of the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was given in code or on the command line, then the environment, then the file: the nearer one wins."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults_at_once(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 — as pydantic calls it
        """Judge fields and what lies between fields together; a field that fails is judged no further."""
        causes, failed = _unknown_variables(cls), set[str]()
        try:
            settings = handler(values)
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            causes += [_cause(one, cls) for one in found]
            failed = {str(one["loc"][0]) for one in found}
            settings = handler({key: value for key, value in values.items() if key not in failed})
        causes += [fault for fault in settings.faults() if fault.split(maxsplit=1)[0].rstrip(":") not in failed]
        if causes:
            raise ConfigurationError(causes)
        return settings

    def faults(self) -> list[str]:
        """What no single field shows, each with its cure."""
        found = configuration_faults(self.trusted_issuers(), self.token_rules()) + resource_faults(self.resource)
        if len(self.issuers) > 1 and (self.metadata_url or self.jwks_uri):
            found.append("metadata_url and jwks_uri belong to one issuer. Cure: remove them, or name one issuer only")
        found += introspection_faults(self.introspection(), self.trusted_issuers(), self.token_rules())
        for name in ("ca_file", "database_url_file", "introspection_client_secret_file"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                found.append(f"{name} {path} is not a file. Cure: a path this process may read")
        if self.database_url_file is not None and "database_url" in self.model_fields_set:
            found.append("database_url and database_url_file are both given. Cure: one of the two")
        return found + (
            database_faults(self.database()) if not any(one.startswith("database") for one in found) else []
        )

    def database(self) -> str:
        """The database's URL, password included: for the engine, never for a message."""
        if self.database_url_file is not None:
            return self.database_url_file.read_text(encoding="utf-8").strip()
        return self.database_url.get_secret_value()

    def introspection(self) -> Introspection | None:
        """How opaque tokens are understood, where they are."""
        if self.introspection_url is None:
            return None
        path = self.introspection_client_secret_file
        given = self.introspection_client_secret.get_secret_value()
        secret = path.read_text(encoding="utf-8").strip() if path is not None and path.is_file() else given
        return Introspection(url=self.introspection_url, client_id=self.introspection_client_id, client_secret=secret)

    def trusted_issuers(self) -> list[Issuer]:
        """The issuers, with where they are found."""
        if len(self.issuers) == 1:
            return [Issuer(self.issuers[0], self.metadata_url, self.jwks_uri)]
        return [Issuer(one) for one in self.issuers]

    def token_rules(self) -> TokenRules:
        """The rules for tokens."""
        return TokenRules(
            audience=self.audience,
            profile=self.profile,
            algorithms=frozenset(self.algorithms),
            clients=frozenset(self.client_allow_list),
            tenants=frozenset(tenant.lower() for tenant in self.tenant_allow_list),
            roles_claim=self.roles_claim,
            leeway=self.leeway_seconds,
            client_names_audience=self.client_names_audience,
        )


def load_settings(config: Path | None = None, **given: object) -> ResourceAPISettings:
    """The settings of ``config``, else of ``RESOURCE_API_CONFIG``, else of ``./resource_api.toml`` where there is one.

    ``given`` is what the command line says; it wins. Raises ConfigurationError.
    """
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is not None and not named.is_file():
        raise ConfigurationError([f"the configuration file {named} is not there. Cure: --config, or {CONFIG_VARIABLE}"])

    class FromFile(ResourceAPISettings):
        model_config = SettingsConfigDict(toml_file=named or USUAL_FILE)

    try:
        return FromFile(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]  # fields judge them
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{named or USUAL_FILE} is no TOML: {error}. Cure: see docs/settings.md"]) from error


def _unknown_variables(cls: type[BaseSettings]) -> list[str]:
    known = {PREFIX + name.upper() for name in cls.model_fields} | {CONFIG_VARIABLE}
    found = sorted(name for name in map(str.upper, os.environ) if name.startswith(PREFIX) and name not in known)
    return [f"the variable {name} is unknown. Cure: {_nearest(name, known)}" for name in found]


def _cause(error: ErrorDetails, cls: type[BaseSettings]) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "a setting"
    if error["type"] == "extra_forbidden":
        return f"{key} is unknown. Cure: {_nearest(key, set(cls.model_fields))}"
    return f"{key} cannot be used. Cure: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"one of {', '.join(sorted(known))}"
