"""Any FastAPI application, protected. Run: ISSUER=https://… AUDIENCE=… uvicorn protected_api:app."""

import os

from fastapi import FastAPI

from resource_api.security import CurrentPrincipal, ResourceServer, TokenRules, protect, requires

app = FastAPI()
rules = TokenRules(audience=os.environ["AUDIENCE"], profile="rfc9068")
protect(app, ResourceServer(issuers=[os.environ["ISSUER"]], rules=rules))


@app.get("/things", dependencies=[requires(scopes={"Things.Read"})])
async def things(principal: CurrentPrincipal) -> dict[str, str]:
    """What the caller owns."""
    return {"owner": principal.owner}
