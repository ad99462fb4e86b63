"""Access tokens as other authorization servers shape them, made by us from their documentation.

Each is the claims and the header of one kind of caller; times and the audience are a test's own world's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.world.tokens import ABSENT, sign

KEYCLOAK: Final = "https://keycloak.example/realms/things"
AUTH0: Final = "https://things.eu.auth0.com/"
OKTA: Final = "https://things.okta.com/oauth2/default"
COGNITO: Final = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI"
AUDIENCE: Final = "https://things.example/api"


@dataclass(frozen=True, slots=True)
class Shape:
    """How one server's token for one kind of caller looks; ``header`` overrides what ours has."""

    claims: Mapping[str, Any]
    header: Mapping[str, object]

    def token(self, **overrides: object) -> str:
        """A fresh token of this shape, signed with the honest RSA key; ``ABSENT`` removes a claim."""
        now = int(time.time())
        claims = {"iat": now, "exp": now + 300, **self.claims, **overrides}
        return sign({name: value for name, value in claims.items() if value is not ABSENT}, header=self.header)


_UNTYPED: Final = {"typ": ABSENT}
KEYCLOAK_PERSON: Final = Shape(
    {
        "iss": KEYCLOAK,
        "aud": [AUDIENCE, "account"],
        "sub": "f2b6a7f0-2f52-4f0e-9f0e-0f9f6f1f6a11",
        "typ": "Bearer",
        "azp": "things-web",
        "sid": "5d3f9d6e-6a2e-4f0a-8f4e-3c1de1b0a2c7",
        "jti": "onrtac:5e0b5b3c-2ed2-4e9b-8d27-6e5c57b5f0a1",
        "acr": "1",
        "allowed-origins": ["https://things.example"],
        "realm_access": {"roles": ["offline_access", "default-roles-things"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid profile email things.read",
        "email_verified": True,
        "preferred_username": "alice",
    },
    {},
)
KEYCLOAK_SERVICE: Final = Shape(
    {
        **{name: KEYCLOAK_PERSON.claims[name] for name in ("iss", "aud", "typ", "jti", "acr", "realm_access")},
        "sub": "0c0f7c6b-4a52-4a0e-a3a2-5b8f0f6f9d22",
        "azp": "things-job",
        "client_id": "things-job",
        "clientHost": "10.0.0.7",
        "clientAddress": "10.0.0.7",
        "resource_access": {"things-api": {"roles": ["things.read.all"]}},
        "scope": "profile email",
        "preferred_username": "service-account-things-job",
        "idtyp": "app",  # by a hard-coded claim mapper on the client
    },
    {},
)
AUTH0_PERSON: Final = Shape(
    {
        "iss": AUTH0,
        "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": [AUDIENCE, "https://things.eu.auth0.com/userinfo"],
        "azp": "my_client_id",
        "scope": "openid profile things.read",
        "permissions": ["things.read"],
    },
    {},
)
AUTH0_SERVICE: Final = Shape(
    {
        "iss": AUTH0,
        "sub": "my_job_id@clients",
        "aud": AUDIENCE,
        "azp": "my_job_id",
        "gty": "client-credentials",
        "scope": "things.read.all",
        "permissions": ["things.read.all"],
    },
    {},
)
OKTA_PERSON: Final = Shape(
    {
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "iss": OKTA,
        "aud": AUDIENCE,
        "cid": "0oabucvyc38HLL1ef0h7",
        "uid": "00ujmkLgagxeRrAg20g3",
        "scp": ["openid", "things.read"],
        "auth_time": 1_700_000_000,
        "sub": "alice@example.com",
    },
    _UNTYPED,
)
OKTA_SERVICE: Final = Shape(
    {
        "ver": 1,
        "jti": "AT.LT9cRL2Xn6-oLGkFM2Nm2LqL2d3YjyMFPc8Bv2dR8Ag",
        "iss": OKTA,
        "aud": AUDIENCE,
        "cid": "0oajob00000000001",
        "scp": ["things.read.all"],
        "sub": "0oajob00000000001",
    },
    _UNTYPED,
)
COGNITO_PERSON: Final = Shape(
    {
        "sub": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        "cognito:groups": ["readers"],
        "iss": COGNITO,
        "version": 2,
        "client_id": "xxxxxxxxxxxxexample",
        "origin_jti": "aaaaaaaa-bbbb-4ccc-8ddd-000000000001",
        "event_id": "64f513be-32db-42b0-b78e-b02127b4f463",
        "token_use": "access",
        "scope": "openid things.read",
        "auth_time": 1_700_000_000,
        "jti": "aaaaaaaa-bbbb-4ccc-8ddd-000000000002",
        "username": "alice",
    },
    _UNTYPED,
)
COGNITO_SERVICE: Final = Shape(
    {
        "sub": "jjjjjjjjjjjjexample",
        "iss": COGNITO,
        "version": 2,
        "client_id": "jjjjjjjjjjjjexample",
        "token_use": "access",
        "scope": "things.read.all",
        "jti": "aaaaaaaa-bbbb-4ccc-8ddd-000000000003",
    },
    _UNTYPED,
)
