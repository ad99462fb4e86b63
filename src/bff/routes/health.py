"""Probes: ``/livez`` says the process runs; ``/readyz`` says it can sign people in and check sessions."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from bff.errors import Unavailable
from bff.routes.dependencies import Services, ServicesOf, public
from bff.telemetry import metrics

router = APIRouter(include_in_schema=False, dependencies=[Depends(public)])
management = APIRouter(include_in_schema=False, dependencies=[Depends(public)])
_HEADERS = {"Cache-Control": "no-store"}


@router.get("/livez")
@management.get("/livez")
async def livez() -> Response:
    """The process answers; nothing else is asked, so that an outage elsewhere restarts nobody."""
    return JSONResponse({"status": "alive"}, headers=_HEADERS)


@router.get("/readyz")
@management.get("/readyz")
async def readyz(services: ServicesOf) -> Response:
    """Each part by name, 503 when one of them cannot do its work."""
    parts = {
        "authority": await _authority(services),
        "ledger": await _ledger(services),
        "one_ledger": _one_ledger(services),
    }
    ready = all(parts.values())
    body = {
        "status": "ready" if ready else "not ready",
        "parts": {name: "ok" if fine else "down" for name, fine in parts.items()},
    }
    return JSONResponse(body, status_code=200 if ready else 503, headers=_HEADERS)


async def _authority(services: Services) -> bool:
    return await services.relying_party.ready()


def _one_ledger(services: Services) -> bool:
    """No process seals this site's cookies without sharing the ledger, or the operator has said that some do (F14)."""
    return services.machines > 1 or not services.vault.foreign_seals


async def _ledger(services: Services) -> bool:
    try:
        await services.ledger.catch_up(at_once=True)
    except Unavailable:
        return False
    return True


@management.get("/metrics")
async def exposition() -> Response:
    """Prometheus' text format; only on the management port."""
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8", headers=_HEADERS)
