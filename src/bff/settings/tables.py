"""The tables of ``bff.toml``. Each judges itself as a whole and reports every fault it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, SecretStr, model_validator

from bff.errors import ConfigurationError
from bff.oidc.registration import RESERVED_PARAMETERS
from bff.session.redis_address import RedisAddress
from bff.settings.faults import Duration, Table, refuse, url_fault

SAMPLE_SECRETS = re.compile(r"enter_the|change[-_ ]?me|your[-_ ]|example|secret$|^(.)\1+$|password|<.*>", re.IGNORECASE)
MIN_SECRET_CHARACTERS = 16
ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")
RATE = re.compile(r"[1-9]\d{0,8}/(?:[1-9]\d{0,3} ?)?(?:second|minute|hour|day)")


class ServerSettings(Table):
    """``[server]``: where this process listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    trusted_proxies: tuple[str, ...] = ()
    drain_seconds: int = Field(default=20, ge=0, le=600)
    management_port: int | None = Field(default=None, ge=0, le=65535)

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.workers > 1 and self.management_port is not None:
            refuse("management_port would show one worker's numbers. Cure: workers = 1, and more replicas")
        return self


class RuleSettings(Table):
    """One rule of ``authority.require``: a claim and exactly one comparison."""

    claim: str
    equals: str | int | bool | None = None
    contains: str | None = None
    one_of: tuple[str, ...] | None = Field(default=None, alias="in")

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        said = [self.equals is not None, self.contains is not None, self.one_of is not None]
        if sum(said) != 1 or self.one_of == ():
            refuse(
                f"require: the rule on {self.claim!r} can match nothing. Cure: give exactly one of equals, contains, in"
            )
        return self


class AuthoritySettings(Table):
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
    logout_framed_by: tuple[str, ...] = ()

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
        refuse(*self._identity_faults(), *self._credential_faults(), *self._request_faults())
        return self

    def _identity_faults(self) -> list[str]:
        if self.profile == "entra-external-id" and not (self.tenant_id and self.tenant_subdomain):
            return ["this profile needs tenant_subdomain and tenant_id. Cure: copy both from the tenant's overview"]
        if not self.issuer:
            return ["issuer is missing. Cure: set it to the exact issuer of the discovery document"]
        faults = url_fault("issuer", self.issuer)
        return faults + url_fault("metadata_url", self.effective_metadata_url)

    def _credential_faults(self) -> list[str]:
        faults = (
            []
            if self.client_id
            else ["client_id is missing. Cure: copy the application (client) id of this app's registration"]
        )
        ways = [self.client_secret is not None, self.client_secret_file is not None, self.private_key_file is not None]
        if sum(ways) != 1:
            faults.append(
                "there is not one client authentication. "
                "Cure: exactly one of client_secret, client_secret_file, private_key_file"
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
        ours = sorted(RESERVED_PARAMETERS & set(self.authorize_params))
        faults += [
            f"logout_framed_by: {origin!r} is no https origin. Cure: write it like https://login.example"
            for origin in self.logout_framed_by
            if url_fault("", origin) or not ORIGIN.fullmatch(origin)
        ]
        if ours:
            faults.append(f"authorize_params sets {', '.join(ours)}, which are ours alone to set. Cure: remove them")
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


class SessionSettings(Table):
    """``[session]``: where sessions lie and how long they live."""

    store: Literal["cookie", "redis"] = "cookie"
    ledger: str = "file:bff-ledger.sqlite"
    redis_url: SecretStr | None = None
    redis_url_file: Path | None = None
    keys_file: Path | None = None
    idle: Duration = 1800.0
    absolute: Duration = 43200.0
    machines: int = Field(default=1, ge=1)
    begun_after: AwareDatetime | None = None
    max_cookie_bytes: int = Field(default=7168, ge=2048, le=20480)
    claims: tuple[str, ...] = ("sub", "name", "preferred_username", "email")

    @model_validator(mode="before")
    @classmethod
    def _ledger_follows_store(cls, values: Any) -> Any:  # noqa: ANN401 — a before-validator is handed whatever was written
        """Sessions in Redis have their ledger there too, unless somebody says otherwise and is refused."""
        if isinstance(values, dict) and values.get("store") == "redis":
            return {"ledger": "redis", **values}
        return values

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        faults = self._redis_faults()
        if self.ledger not in {"memory", "redis"} and not self.ledger.startswith("file:"):
            cure = 'ledger = "file:/var/lib/bff/ledger.sqlite"'
            faults.append(f"ledger is none of file:PATH, redis and memory. Cure: {cure}")
        if self.idle > self.absolute:
            faults.append("idle is longer than absolute. Cure: make idle the shorter of the two")
        if self.keys_file is not None and not self.keys_file.is_file():
            faults.append(
                f"keys_file names {self.keys_file}, which is no file. Cure: bff keys new --file {self.keys_file}"
            )
        refuse(*faults)
        return self

    def _redis_faults(self) -> list[str]:
        used, given = "redis" in {self.store, self.ledger}, [self.redis_url, self.redis_url_file]
        if not used:
            unused = 'redis_url is read by nobody. Cure: ledger = "redis" or store = "redis", or remove it'
            return [] if given == [None, None] else [unused]
        if given.count(None) != 1:
            return ["there is not one redis_url. Cure: exactly one of redis_url, redis_url_file"]
        try:
            RedisAddress.parse(self.redis_address)
        except OSError as error:
            return [f"redis_url_file cannot be read ({error.strerror}). Cure: let this process read it, mode 0600"]
        except ConfigurationError as error:
            return [cause.removeprefix("session.") for cause in error.causes]
        return []

    @property
    def redis_address(self) -> str:
        """The URL of Redis or Valkey, from the setting or its file; empty where there is none. It holds a password."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        if self.redis_url_file is not None:
            return self.redis_url_file.read_text(encoding="utf-8").strip()
        return ""


class PageSettings(Table):
    """``[page]``: a team's own page; absent, the built-in one is served."""

    directory: Path | None = None
    csp: str | None = None
    picture: bool = False

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.directory is not None and not (self.directory / "index.html").is_file():
            refuse(f"directory {self.directory} holds no index.html. Cure: point it at the page's build output")
        return self


class RelaySettings(Table):
    """``[relay]``: how calls reach the upstreams."""

    upstream: Literal["httptools", "httpx"] = "httptools"
    max_connections: int = Field(default=512, ge=1, le=65535)
    concurrency_per_session: int | None = Field(default=None, ge=1)
    rate_per_session: str | None = None
    rate_per_address: str | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        faults = [
            f"{key} = {rate!r} is no rate. Cure: write it like 600/minute, 20/second or 5000/hour"
            for key, rate in (
                ("rate_per_session", self.rate_per_session),
                ("rate_per_address", self.rate_per_address),
            )
            if rate is not None and not RATE.fullmatch(rate)
        ]
        if self.concurrency > self._most_per_session:
            faults.append(
                f"concurrency_per_session = {self.concurrency} lets one session hold more than half of "
                f"max_connections = {self.max_connections}. Cure: at most {self._most_per_session}, or more connections"
            )
        refuse(*faults)
        return self

    @property
    def concurrency(self) -> int:
        """Calls of one session at a time: what is set, else 256, and never more than its share (ATK-42)."""
        return self.concurrency_per_session or min(256, self._most_per_session)

    @property
    def _most_per_session(self) -> int:
        """Half of the connections to an upstream: however many one session asks for, others are served."""
        return max(1, self.max_connections // 2)


class RouteSettings(Table):
    """``[[route]]``: a path below which calls are relayed to one upstream."""

    path: str
    upstream: str
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    token: Literal["user", "client", "user_or_client", "user_or_none", "none"] = "user"  # noqa: S105 — a policy's name
    anonymous: bool = False
    scope: str = ""
    resource: str = ""
    audience: str = ""
    antiforgery: Literal["header", "fetch-metadata"] = "header"
    encoded_slash: bool = False
    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    redirects: Literal["refuse", "pass"] = "refuse"
    cacheable: bool = False
    sandbox: bool = True
    timeout: Duration = 30.0
    stream_idle: Duration = 300.0
    outlives_token: bool = False
    max_body: int = Field(default=1_048_576, ge=0)
    websocket: bool = False
    subprotocols: tuple[str, ...] = ()
    max_message: int = Field(default=1_048_576, ge=1)
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        faults = url_fault("upstream", self.upstream)
        if self.antiforgery == "fetch-metadata" and not set(self.methods) <= {"GET", "HEAD"}:
            faults.append(
                'antiforgery = fetch-metadata is for reading only. Cure: methods = ["GET"], or antiforgery = header'
            )
        refuse(*faults)
        return self
