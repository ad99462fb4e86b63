"""The metadata (OIDC Discovery 3, RFC 8414 2) in its two shapes, and where the endpoints are (K-21…K-24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from local_authority.authorization import PROMPTS, RESPONSE_MODES
from local_authority.clients.assertions import ALGORITHMS
from local_authority.clients.registrations import OIDC_SCOPES, Registry
from local_authority.keys import ALGORITHM
from local_authority.options import Options

CLAIMS: Final = (
    *("sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name"),
    *("tid", "ver", "oid", "sid", "login_hint", "email"),
)
CLIENT_AUTHENTICATION: Final = ["client_secret_post", "private_key_jwt", "client_secret_basic"]


@dataclass(frozen=True, slots=True)
class Paths:
    """The endpoints' paths, as Entra has them."""

    tenant: str

    @property
    def base(self) -> str:
        """The tenant's own path."""
        return f"/{self.tenant}"

    @property
    def metadata(self) -> str:
        """Discovery."""
        return f"{self.base}/v2.0/.well-known/openid-configuration"

    @property
    def keys(self) -> str:
        """The JWK set."""
        return f"{self.base}/discovery/v2.0/keys"

    @property
    def userinfo(self) -> str:
        """OIDC Core 5.3."""
        return f"{self.base}/oidc/userinfo"

    def oauth2(self, name: str) -> str:
        """``authorize``, ``token``, ``revoke`` or ``logout``."""
        return f"{self.base}/oauth2/v2.0/{name}"


def metadata(options: Options, registry: Registry) -> dict[str, Any]:
    """What is advertised: everything, or exactly as little as Entra does."""
    return _common(options) | (_entra() if options.shape == "entra" else _full(options, registry))


def _common(options: Options) -> dict[str, Any]:
    paths, origin = Paths(options.tenant_id), options.origin
    return {
        "issuer": options.issuer_identifier,
        "authorization_endpoint": f"{origin}{paths.oauth2('authorize')}",
        "token_endpoint": f"{origin}{paths.oauth2('token')}",
        "jwks_uri": f"{origin}{paths.keys}",
        "userinfo_endpoint": f"{origin}{paths.userinfo}",
        "end_session_endpoint": f"{origin}{paths.oauth2('logout')}",
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
        "scopes_supported": list(OIDC_SCOPES),
        "claims_supported": list(CLAIMS),
        "request_uri_parameter_supported": False,
        "frontchannel_logout_supported": True,
    }


def _entra() -> dict[str, Any]:
    return {"http_logout_supported": True}


def _full(options: Options, registry: Registry) -> dict[str, Any]:
    paths, origin = Paths(options.tenant_id), options.origin
    return {
        "revocation_endpoint": f"{origin}{paths.oauth2('revoke')}",
        "revocation_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": list(PROMPTS),
        "scopes_supported": [
            *OIDC_SCOPES,
            *(f"{api.uri}/{name}" for api in registry.apis.values() for name in api.scopes),
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "ui_locales_supported": ["en"],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_session_supported": True,
    }
