"""A team's own API behind the BFF, for tokens of any authorization server: ``your_own_api.py ISSUER PORT``."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

from resource_api.security import CurrentPrincipal, Issuer, ResourceServer, TokenRules, protect, requires


def make_api(issuer: str, audience: str = "todo-api") -> FastAPI:
    """An API that believes tokens of one issuer, in the shape that Keycloak, Okta and Cognito give them."""
    server = ResourceServer(issuers=[Issuer(issuer)], rules=TokenRules(audience=audience, profile="jwt"))
    api = FastAPI(title="Greetings")
    protect(api, server)

    @api.get("/api/greeting", dependencies=[requires(scopes={"ToDoList.Read"})])
    async def greeting(principal: CurrentPrincipal) -> dict[str, str]:
        """Greet whoever the token speaks for."""
        return {"greeting": f"The API greets {principal.owner}"}

    return api


if __name__ == "__main__":
    uvicorn.run(make_api(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
