"""The API's document and its page: offline, under a strict policy, for reading only (F29)."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI

from tests.resource_api.conftest import caller
from tests.world.key_host import KeyHost
from tests.world.tokens import ISSUER, JWKS_URI


@pytest.mark.req("F29")
async def test_the_page_needs_nobody_else(api: httpx.AsyncClient) -> None:
    """Everything the page loads is ours, exists, and is allowed by a policy without unsafe-inline."""
    page = await api.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert page.headers["Content-Type"].startswith("text/html")
    assert "unsafe" not in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert loaded == [
        "/docs/swagger-ui.css",
        "/docs/docs.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/docs.js",
        "/openapi.json",
    ]
    for path in loaded:
        answer = await api.get(path)
        assert (answer.status_code, len(answer.content) > 50) == (200, True)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=|https?://", page.text)


@pytest.mark.req("F29")
async def test_the_page_cannot_call(api: httpx.AsyncClient) -> None:
    """No operation can be tried from here, no token pasted, and no other site's document loaded."""
    script = (await api.get("/docs/docs.js")).text
    assert "supportedSubmitMethods: []" in script
    assert "authorizeBtn" in script
    assert "validatorUrl: null" in script
    assert "queryConfigEnabled" not in script


async def test_files_are_asked_for_again_only_when_they_changed(api: httpx.AsyncClient) -> None:
    """A file has an ETag, and whoever has it already is told so."""
    first = await api.get("/docs/swagger-ui-bundle.js")
    again = await api.get("/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, first.headers["Content-Type"]) == (
        304,
        b"",
        "text/javascript; charset=utf-8",
    )


@pytest.mark.parametrize("name", ["x", "redoc.standalone.js", "../docs.py", "..%2Fdocs.py", "index.html", "docs.js/"])
async def test_no_other_file_is_served(api: httpx.AsyncClient, name: str) -> None:
    """The page's files are a list of four, not a folder."""
    assert (await api.get(f"/docs/{name}")).status_code == 404


async def test_the_flows_follow_the_metadata(app: FastAPI, key_host: KeyHost) -> None:
    """The OAuth2 scheme names the authorization server's endpoints as its metadata does, once that was read."""
    key_host.endpoints = {"authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token"}
    assert app.openapi()["components"]["securitySchemes"]["OAuth2"]["flows"] == {}
    async with app.router.lifespan_context(app), caller(app) as api:
        await api.get("/readyz")
        flows = (await api.get("/openapi.json")).json()["components"]["securitySchemes"]["OAuth2"]["flows"]
    assert flows["authorizationCode"]["authorizationUrl"] == f"{ISSUER}/authorize"
    assert flows["authorizationCode"]["tokenUrl"] == f"{ISSUER}/token"
    assert flows["authorizationCode"]["scopes"].keys() == {"ToDoList.Read", "ToDoList.ReadWrite"}
    assert JWKS_URI not in str(flows)
