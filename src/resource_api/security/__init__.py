"""The one door to this package's security: everything else in it is its own business.

server = ResourceServer(issuers=["https://issuer.example"], rules=TokenRules(audience="my-api", profile="rfc9068"))
app = FastAPI()
protect(app, server)

@app.get("/things", dependencies=[requires(scopes={"Things.Read"})])
async def things(principal: CurrentPrincipal) -> list[str]: ...
"""

from __future__ import annotations

from resource_api.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientAuthentication,
    InsufficientClaims,
    InsufficientScope,
    IntrospectionUnavailable,
    InvalidRequest,
    InvalidToken,
    KeySetUnavailable,
    NoCredentials,
    StepUpUnsupported,
    UnknownResource,
)
from resource_api.security.configuration import configuration_faults, introspection_faults, resource_faults
from resource_api.security.dependencies import CurrentPrincipal, public, requires
from resource_api.security.guarded_route import GuardedRoute
from resource_api.security.introspection import Introspection
from resource_api.security.issuers import Issuer
from resource_api.security.needs import require_issued_after
from resource_api.security.openapi import problem_response
from resource_api.security.ownership import owned
from resource_api.security.principal import Principal
from resource_api.security.protection import protect
from resource_api.security.resource_server import ResourceServer
from resource_api.security.route_audit import audit_routes
from resource_api.security.rules import ProfileName, TokenRules

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "CurrentPrincipal",
    "GuardedRoute",
    "InsufficientAuthentication",
    "InsufficientClaims",
    "InsufficientScope",
    "Introspection",
    "IntrospectionUnavailable",
    "InvalidRequest",
    "InvalidToken",
    "Issuer",
    "KeySetUnavailable",
    "NoCredentials",
    "Principal",
    "ProfileName",
    "ResourceServer",
    "StepUpUnsupported",
    "TokenRules",
    "UnknownResource",
    "audit_routes",
    "configuration_faults",
    "introspection_faults",
    "owned",
    "problem_response",
    "protect",
    "public",
    "require_issued_after",
    "requires",
    "resource_faults",
]
