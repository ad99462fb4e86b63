from __future__ import annotations

from pathlib import Path

import pytest

from deploy.entra.wanted import Wanted

PAGE = (Path(__file__).parents[2] / "docs/entra-by-hand.md").read_text(encoding="utf-8")


@pytest.mark.req("T-03", "T-04", "T-05", "T-07", "T-08", "T-17", "T-18")
def test_the_page_for_hands_says_what_the_command_does() -> None:
    """Names, consent texts, roles, addresses and attributes of the page are the command's, letter by letter."""
    wanted = Wanted()
    api = wanted.api({})
    client = wanted.client({}, [])
    words = [api["displayName"], client["displayName"], wanted.flow_name, *wanted.redirect_uris]
    words.append(client["web"]["logoutUrl"])
    for scope in api["api"]["oauth2PermissionScopes"]:
        words += [scope["value"], scope["adminConsentDisplayName"], scope["adminConsentDescription"]]
    for role in api["appRoles"]:
        words += [role["value"], role["description"]]
    words += [one["displayName"] for one in wanted.flow()["onAttributeCollection"]["attributes"][1:]]
    assert [word for word in words if word not in PAGE] == []
