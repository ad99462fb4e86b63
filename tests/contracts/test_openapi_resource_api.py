"""The API's contract, to the letter: whoever changes it sees so in a diff."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resource_api.app import create_app
from tests.resource_api.conftest import settings_with
from tests.world.key_host import KeyHost

GOLDEN = Path(__file__).with_name("openapi_resource_api.json")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, object]:
    """The document as it is before any metadata was read."""
    made: dict[str, object] = create_app(settings_with(tmp_path), transport=KeyHost().transport).openapi()
    return made


@pytest.mark.req("A-41")
def test_the_document_is_the_golden_one(document: dict[str, object]) -> None:
    """The published document equals the file; ``json.dumps(document, indent=2)`` is how to write it anew."""
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == document


@pytest.mark.req("RS-3")
def test_each_operation_says_what_it_needs(document: dict[str, object]) -> None:
    """Every operation under /api names its scopes, its app roles and its refusals; only health needs nobody."""
    for path, operations in json.loads(json.dumps(document["paths"])).items():
        for operation in operations.values():
            if not path.startswith("/api/"):
                assert "security" not in operation
                continue
            assert all(set(one) == {"OAuth2"} and len(one["OAuth2"]) == 1 for one in operation["security"])
            assert operation["x-app-roles"]
            assert {"401", "403", "503"} <= operation["responses"].keys()
            assert "422" not in operation["responses"] or "problem+json" in str(operation["responses"]["422"])
