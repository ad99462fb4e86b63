"""What a team writes: their application, and the plugin."""

from __future__ import annotations

import pytest

from bff.app import BFF
from bff.pytest_plugin import signed_in_client
from bff.settings import BFFSettings
from examples.embedded_bff import make_app
from tests.world.internet import Internet

# A team writes `pytest_plugins = ["bff.pytest_plugin"]` in their root conftest.py; pytest takes it in no other.
__all__ = ["signed_in_client"]


@pytest.fixture
def internet() -> Internet:
    """What lies behind the BFF."""
    return Internet()


@pytest.fixture
def bff_app(internet: Internet) -> BFF:
    """The application under test, as its team builds it."""
    settings = BFFSettings.model_validate(
        {
            "public_url": "http://localhost:3000",
            "authority": {
                "issuer": "https://issuer.example",
                "client_id": "embedded",
                "client_secret": "k7Qw-2Zt9_bXr4Vn8Lm3",
            },
            "session": {"ledger": "memory", "claims": ["*"]},
            "route": [{"path": "/api/", "upstream": "http://127.0.0.1:9000"}],
        }
    )
    return make_app(settings, transport=internet)
