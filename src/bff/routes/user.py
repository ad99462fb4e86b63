"""``GET /bff/user``: who is signed in, until when, and how to sign out; the page's one source of truth."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from bff.errors import NoSession, SessionEnded
from bff.routes.dependencies import Presentation, Services, ServicesOf, guarded
from bff.session.model import Session
from bff.session.vault import Presented

router = APIRouter(include_in_schema=False)
_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Cookie",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",  # no other page may load it, not even to measure it (ATK-30)
}


@router.get("/bff/user", dependencies=[Depends(guarded("header"))])
async def user(services: ServicesOf, presented: Presentation) -> Response:
    """Answer 200 in both cases: a page that asks who is there has done nothing wrong.

    A superseded cookie is neither: its session lives, and the page asks once more with the newest (rule F5).
    """
    anonymous = {"authenticated": False, "login_url": "/bff/login"}
    try:
        session = presented.require()
    except NoSession:
        return JSONResponse(anonymous, headers=_HEADERS)
    except SessionEnded as end:
        return JSONResponse({**anonymous, "reason": end.reason}, headers=_HEADERS)
    return JSONResponse(_described(services, presented, session), headers=_HEADERS)


def _described(services: Services, presented: Presented, session: Session) -> dict[str, Any]:
    """What the page may know: listed claims, the session's ends, never a token."""
    chosen = services.public_claims
    claims = (
        session.claims if "*" in chosen else {name: session.claims[name] for name in chosen if name in session.claims}
    )
    return {
        "authenticated": True,
        "sub": session.subject,
        "claims": dict(claims),
        "session": {
            "began_at": int(session.began_at),
            "expires_at": int(session.absolute_end),
            "idle_expires_at": int(services.vault.idle_end(presented)),
            "auth_time": session.claims.get("auth_time"),
            "acr": session.claims.get("acr"),
            "tag": services.vault.tag(session),
        },
        "logout_url": f"/bff/logout?ticket={services.vault.logout_ticket(session)}",
        "antiforgery": {"header": "X-CSRF", "value": "1"},
    }
