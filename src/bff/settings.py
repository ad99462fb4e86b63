"""What an operator decides: ``bff.toml`` and ``BFF_*`` variables, read once, by ``app.py`` and ``cli.py`` alone.

What must never vary is no setting: cookie flags, PKCE S256, ``response_type=code``, TLS verification, the nonce.
A setting that cannot work stops the start; all such settings are named at once, each with its cure.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from bff.errors import ConfigurationError

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
SAMPLE_SECRETS = re.compile(r"enter_the|change[-_ ]?me|your[-_ ]|example|secret$|^(.)\1+$|password|<.*>", re.IGNORECASE)
MIN_SECRET_CHARACTERS = 16
_DURATION = re.compile(r"(\d+)(s|m|h|d)?")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    """Turn ``"30m"``, ``"12h"``, ``"45s"``, ``"7d"`` or a plain number into seconds."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise PydanticCustomError("duration", "is no duration. Cure: write it like 90s, 30m, 12h or 7d")
        return int(match[1]) * _UNIT_SECONDS[match[2] or "s"]
    return value


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class _Table(BaseModel):
    """A table of ``bff.toml``: frozen, and a key it does not know is an error, because a typo must not be silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _refuse(*causes: str) -> None:
    """Report every cause of a table at once."""
    if causes:
        raise PydanticCustomError("setting", "{causes}", {"causes": "\n".join(causes)})


def is_loopback(url: str) -> bool:
    """Say whether a URL names this very machine, where plain http reveals nothing."""
    return (urlsplit(url).hostname or "") in LOOPBACK_HOSTS


def _url_fault(key: str, url: str) -> list[str]:
    """Return the fault of a URL that must be https, or http on loopback; an empty list when it has none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [f"{key} is no absolute URL. Cure: write it like https://app.example.com"]
    if parts.scheme == "http" and not is_loopback(url):
        return [f"{key} is plain http to another machine. Cure: use https; http is for loopback only"]
    return []


class ServerSettings(_Table):
    """``[server]``: where this process listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    trusted_proxies: tuple[str, ...] = ()
    drain_seconds: int = Field(default=20, ge=0, le=600)
    management_port: int | None = Field(default=None, ge=0, le=65535)


class RuleSettings(_Table):
    """One rule of ``authority.require``: a claim and exactly one comparison."""

    claim: str
    equals: str | int | bool | None = None
    contains: str | None = None
    one_of: tuple[str, ...] | None = Field(default=None, alias="in")

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        said = [self.equals is not None, self.contains is not None, self.one_of is not None]
        if sum(said) != 1 or self.one_of == ():
            _refuse(
                f"require: the rule on {self.claim!r} can match nothing. Cure: give exactly one of equals, contains, in"
            )
        return self


class AuthoritySettings(_Table):
    """``[authority]``: the authorization server, and who we are to it."""

    profile: Literal["generic", "entra-external-id"] = "generic"
    issuer: str = ""
    metadata_url: str = ""
    client_id: str = ""
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    client_authentication: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    private_key_file: Path | None = None
    certificate_file: Path | None = None
    tenant_subdomain: str = ""
    tenant_id: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "offline_access")
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    response_mode: Literal["query", "form_post"] = "query"
    end_session: Literal["logout_hint", "id_token_hint"] = "logout_hint"
    authorize_params: dict[str, str] = Field(default_factory=dict)
    refresh_rotation: Literal["strict", "overlap", "none"] | None = None
    ca_file: Path | None = None
    proxy_url: str | None = None
    leeway_seconds: int = Field(default=30, ge=0, le=120)
    require: tuple[RuleSettings, ...] = ()

    KNOWN_ALGORITHMS: ClassVar[frozenset[str]] = frozenset(
        {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
    )

    @model_validator(mode="before")
    @classmethod
    def _entra(cls, values: Any) -> Any:  # noqa: ANN401 — a before-validator is handed whatever was written
        """A tenant subdomain and a tenant id are enough: Entra External ID's issuer lives on the tenant's GUID host."""
        if not isinstance(values, dict) or values.get("profile") != "entra-external-id":
            return values
        tenant, subdomain = values.get("tenant_id") or "", values.get("tenant_subdomain") or ""
        base = f"https://{subdomain}.ciamlogin.com/{tenant}/v2.0"
        derived = {
            "issuer": f"https://{tenant}.ciamlogin.com/{tenant}/v2.0",
            "metadata_url": f"{base}/.well-known/openid-configuration",
            "refresh_rotation": "overlap",
        }
        return {**derived, **{key: value for key, value in values.items() if value != ""}}

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        _refuse(*self._identity_faults(), *self._credential_faults(), *self._request_faults())
        return self

    def _identity_faults(self) -> list[str]:
        if self.profile == "entra-external-id" and not (self.tenant_id and self.tenant_subdomain):
            return [
                "profile entra-external-id needs tenant_subdomain and tenant_id. Cure: copy both from the tenant's overview"
            ]
        if not self.issuer:
            return ["issuer is missing. Cure: set it to the exact issuer of the discovery document"]
        faults = _url_fault("issuer", self.issuer)
        return faults + _url_fault("metadata_url", self.effective_metadata_url)

    def _credential_faults(self) -> list[str]:
        faults = (
            []
            if self.client_id
            else ["client_id is missing. Cure: copy the application (client) id of this app's registration"]
        )
        ways = [self.client_secret is not None, self.client_secret_file is not None, self.private_key_file is not None]
        if sum(ways) != 1:
            faults.append(
                "there is not one client authentication. Cure: exactly one of client_secret, client_secret_file, private_key_file"
            )
        if self.private_key_file is not None and self.certificate_file is None and self.profile == "entra-external-id":
            faults.append(
                "Entra identifies a key by its certificate. Cure: set certificate_file beside private_key_file"
            )
        for key, path in self._files():
            if path is not None and not path.is_file():
                faults.append(f"{key} names {path}, which is no file. Cure: create it, or correct the path")
        return faults + self._secret_faults()

    def _files(self) -> tuple[tuple[str, Path | None], ...]:
        return (
            ("client_secret_file", self.client_secret_file),
            ("private_key_file", self.private_key_file),
            ("certificate_file", self.certificate_file),
            ("ca_file", self.ca_file),
        )

    def _secret_faults(self) -> list[str]:
        try:
            secret = self.secret
        except OSError as error:
            return [f"client_secret_file cannot be read ({error.strerror}). Cure: let this process read it, mode 0600"]
        if secret is None:
            return []
        if SAMPLE_SECRETS.search(secret):
            return ["client_secret is a sample value. Cure: copy the secret's value from the authorization server"]
        if len(secret) < MIN_SECRET_CHARACTERS:
            return [f"client_secret is shorter than {MIN_SECRET_CHARACTERS} characters. Cure: create a longer one"]
        return []

    def _request_faults(self) -> list[str]:
        faults = [] if "openid" in self.scopes else ["scopes lacks openid. Cure: add it; without it this is no sign-in"]
        unknown = sorted(set(self.algorithms) - self.KNOWN_ALGORITHMS)
        if unknown or not self.algorithms:
            faults.append(
                f"algorithms holds {unknown or 'nothing'}. Cure: choose from {', '.join(sorted(self.KNOWN_ALGORITHMS))}"
            )
        ours = sorted(
            {
                "state",
                "nonce",
                "code_challenge",
                "code_challenge_method",
                "redirect_uri",
                "response_type",
                "client_id",
                "scope",
            }
            & set(self.authorize_params)
        )
        if ours:
            faults.append(f"authorize_params sets {', '.join(ours)}, which never vary. Cure: remove them")
        return faults

    @property
    def effective_metadata_url(self) -> str:
        """The discovery document's address; by default below the issuer (OIDC Discovery 4)."""
        return self.metadata_url or self.issuer.rstrip("/") + "/.well-known/openid-configuration"

    @property
    def rotation(self) -> Literal["strict", "overlap", "none"]:
        """What the server does with a used refresh token: the operator's statement, strict by default (F14)."""
        return self.refresh_rotation or "strict"

    @property
    def secret(self) -> str | None:
        """The client secret, from the setting or its file."""
        if self.client_secret is not None:
            return self.client_secret.get_secret_value()
        if self.client_secret_file is not None and self.client_secret_file.is_file():
            return self.client_secret_file.read_text(encoding="utf-8").strip()
        return None


class SessionSettings(_Table):
    """``[session]``: where sessions lie and how long they live."""

    store: Literal["cookie"] = "cookie"
    ledger: str = "file:bff-ledger.sqlite"
    keys_file: Path | None = None
    idle: Duration = 1800.0
    absolute: Duration = 43200.0
    machines: int = Field(default=1, ge=1)
    max_cookie_bytes: int = Field(default=7168, ge=2048, le=20480)
    claims: tuple[str, ...] = ("sub", "name", "preferred_username", "email")

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        faults = []
        if self.ledger != "memory" and not self.ledger.startswith("file:"):
            faults.append('ledger is neither file:PATH nor memory. Cure: ledger = "file:/var/lib/bff/ledger.sqlite"')
        if self.idle > self.absolute:
            faults.append("idle is longer than absolute. Cure: make idle the shorter of the two")
        if self.keys_file is not None and not self.keys_file.is_file():
            faults.append(
                f"keys_file names {self.keys_file}, which is no file. Cure: bff keys new --file {self.keys_file}"
            )
        _refuse(*faults)
        return self


class PageSettings(_Table):
    """``[page]``: a team's own page; absent, the built-in one is served."""

    directory: Path | None = None
    csp: str | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.directory is not None and not (self.directory / "index.html").is_file():
            _refuse(f"directory {self.directory} holds no index.html. Cure: point it at the page's build output")
        return self


class RouteSettings(_Table):
    """``[[route]]``: a path below which calls are relayed to one upstream."""

    path: str
    upstream: str
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    token: Literal["user", "none", "user_or_none"] = "user"  # noqa: S105 — a policy's name
    antiforgery: Literal["header", "fetch-metadata"] = "header"
    request_headers: tuple[str, ...] = ()
    timeout: Duration = 30.0
    max_body: int = Field(default=1_048_576, ge=0)
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        faults = _url_fault("upstream", self.upstream)
        if self.antiforgery == "fetch-metadata" and not set(self.methods) <= {"GET", "HEAD"}:
            faults.append(
                'antiforgery = fetch-metadata is for reading only. Cure: methods = ["GET"], or antiforgery = header'
            )
        _refuse(*faults)
        return self


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

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        parts = urlsplit(self.public_url)
        faults = _url_fault("public_url", self.public_url)
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
            faults.append(
                "public_url holds more than an origin. Cure: write scheme://host[:port] and nothing behind it"
            )
        if self.session.keys_file is None and not is_loopback(self.public_url):
            faults.append(
                "session.keys_file is missing. Cure: bff keys new --file keys.json, and give it to every replica"
            )
        faults += self._rotation_faults()
        _refuse(*faults)
        return self

    def _rotation_faults(self) -> list[str]:
        """Rule F13: sessions in cookies, strict rotation, several machines and no shared ledger cannot be made safe."""
        if self.session.machines == 1 or self.authority.rotation != "strict":
            return []
        fault = (
            "session.machines > 1 with refresh_rotation = strict and no shared ledger: two machines would spend the same "
            "refresh token and lose the session. Cure: machines = 1, or an authorization server with "
            "refresh_rotation = overlap or none"
        )
        return [fault]

    @property
    def origin(self) -> str:
        """``public_url`` without a trailing slash: an origin, compared byte for byte."""
        return self.public_url.rstrip("/")


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
        settings = FromFile()  # type: ignore[call-arg] — because the sources fill them in
    except ValidationError as error:
        raise ConfigurationError(strangers + causes(error)) from error
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


def causes(error: ValidationError) -> list[str]:
    """One line a violation: the key, what is wrong, the cure."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "settings"
        if fault["type"] == "setting":
            lines += [f"{key}: {line}" for line in fault["ctx"]["causes"].splitlines()]
        elif fault["type"] == "extra_forbidden":
            lines.append(
                f"{key}: unknown key. Cure: correct the spelling, or remove it (docs/settings.md lists every key)"
            )
        elif fault["type"] == "missing":
            lines.append(
                f"{key}: missing. Cure: set it in bff.toml or as BFF_{'__'.join(str(p) for p in fault['loc']).upper()}"
            )
        elif fault["type"] == "duration":
            lines.append(f"{key}: {fault['msg']}")
        else:
            lines.append(f"{key}: {fault['msg']}. Cure: see docs/settings.md for the values it takes")
    return lines
