from __future__ import annotations

from typing import Any

import pytest

from bff.errors import ConfigurationError
from bff.oidc.registration import RESERVED_PARAMETERS
from tests.bff.oidc.simulated_server import registration


@pytest.mark.req("OIDC-1")
def test_openid_is_always_asked_for() -> None:
    """Without the scope openid there is no ID token, so no setting can leave it out."""
    assert registration(scopes=("api://x/Read",)).scope == "openid api://x/Read"
    assert registration(scopes=("profile", "openid")).scope == "openid profile"


@pytest.mark.req("BCP-4", "BBA-2")
@pytest.mark.parametrize("name", sorted(RESERVED_PARAMETERS))
def test_no_setting_replaces_what_protects_the_flow(name: str) -> None:
    """State, nonce, challenge, response type and their like are ours alone to set."""
    with pytest.raises(ConfigurationError, match=name):
        registration(authorize_params={name: "x"})


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        ({"issuer": "http://as.example"}, "issuer"),
        ({"metadata_url": "http://as.example/.well-known/openid-configuration"}, "metadata_url"),
        ({"redirect_uri": "http://app.example.com/bff/callback"}, "redirect_uri"),
        ({"post_logout_redirect_uri": "/bff/logged-out"}, "post_logout_redirect_uri"),
        ({"client_id": ""}, "client_id"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("RS256", "none")}, "none"),
        ({"algorithms": ("HS256",)}, "HS256"),
        ({"scopes": ("openid profile",)}, "scope"),
        ({"scopes": ("",)}, "scope"),
        ({"leeway_seconds": 3600}, "leeway"),
        ({"leeway_seconds": -1}, "leeway"),
    ],
)
def test_a_registration_that_cannot_work_stops_the_start(overrides: dict[str, Any], cause: str) -> None:
    """Each setting that would make every sign-in fail, or unsafe, is refused with its name."""
    with pytest.raises(ConfigurationError, match=cause):
        registration(**overrides)


def test_all_causes_come_at_once() -> None:
    """Three mistakes are three lines, not three starts."""
    with pytest.raises(ConfigurationError) as refusal:
        registration(issuer="x", client_id="", algorithms=())
    assert len(refusal.value.causes) == 3
