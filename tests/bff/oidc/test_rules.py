from __future__ import annotations

from typing import Any

import pytest

from bff.errors import ConfigurationError, LoginNotPermitted
from bff.oidc.rules import Rule, require
from tests.bff.oidc.simulated_server import registration
from tests.world.tokens import ISSUER

EQUALS = Rule(claim="tid", equals="t1")
ONE_OF = Rule(claim="tid", one_of=("t1", "t2"))
CONTAINS = Rule(claim="groups", contains="admins")


@pytest.mark.parametrize(
    ("rule", "claims", "permitted"),
    [
        (EQUALS, {"tid": "t1"}, True),
        (EQUALS, {"tid": "t2"}, False),
        (EQUALS, {"tid": "T1"}, False),
        (EQUALS, {"tid": ["t1"]}, False),
        (EQUALS, {"tid": None}, False),
        (EQUALS, {}, False),
        (Rule(claim="email_verified", equals=True), {"email_verified": True}, True),
        (Rule(claim="email_verified", equals=True), {"email_verified": 1}, False),
        (Rule(claim="email_verified", equals=True), {"email_verified": "true"}, False),
        (Rule(claim="acct", equals=0), {"acct": 0}, True),
        (Rule(claim="acct", equals=0), {"acct": False}, False),
        (Rule(claim="flag", equals=False), {"flag": False}, True),
        (ONE_OF, {"tid": "t2"}, True),
        (ONE_OF, {"tid": "t3"}, False),
        (ONE_OF, {"tid": "t"}, False),
        (ONE_OF, {"tid": ["t1"]}, False),
        (ONE_OF, {}, False),
        (CONTAINS, {"groups": ["staff", "admins"]}, True),
        (CONTAINS, {"groups": "admins"}, True),
        (CONTAINS, {"groups": ["staff"]}, False),
        (CONTAINS, {"groups": "not-admins-really"}, False),
        (CONTAINS, {"groups": {"admins": 1}}, False),
        (CONTAINS, {"groups": None}, False),
        (CONTAINS, {}, False),
    ],
)
def test_a_rule_matches_a_value_and_its_type(rule: Rule, claims: dict[str, Any], permitted: bool) -> None:
    """Absent, null, wrong type, wrong value and half a value permit nobody."""
    assert rule.permits(claims) is permitted


@pytest.mark.parametrize(
    "values",
    [
        {"claim": "tid"},
        {"claim": "", "equals": "t1"},
        {"claim": "tid", "equals": ""},
        {"claim": "tid", "contains": ""},
        {"claim": "tid", "one_of": ()},
        {"claim": "tid", "one_of": []},
        {"claim": "tid", "equals": "t1", "one_of": ("t1",)},
        {"claim": "tid", "equals": "t1", "contains": "t1"},
    ],
)
def test_a_rule_that_matches_nothing_stops_the_start(values: dict[str, Any]) -> None:
    """A guard that can let nobody in, or that nobody can read, is a mistake and not a policy."""
    with pytest.raises(ConfigurationError, match=r"authority\.require"):
        Rule(**values)


@pytest.mark.parametrize(
    "rules",
    [
        (Rule(claim="tid", equals="t1"), Rule(claim="tid", equals="t2")),
        (Rule(claim="tid", equals="t3"), Rule(claim="tid", one_of=("t1", "t2"))),
        (Rule(claim="iss", equals=ISSUER + "/"),),
    ],
)
def test_rules_that_exclude_each_other_stop_the_start(rules: tuple[Rule, ...]) -> None:
    """Two demands that no claims can meet together are named together."""
    with pytest.raises(ConfigurationError, match="nobody can satisfy"):
        registration(require=rules)


def test_rules_that_overlap_are_a_policy() -> None:
    """Narrower beside wider, lists beside values, and different claims all stand."""
    rules = (EQUALS, ONE_OF, CONTAINS, Rule(claim="groups", contains="staff"), Rule(claim="iss", equals=ISSUER))
    assert registration(require=rules).require == rules


def test_every_rule_must_match() -> None:
    """One that does not is named, and the person's claim is not."""
    require((EQUALS, CONTAINS), {"tid": "t1", "groups": ["admins"]})
    with pytest.raises(LoginNotPermitted, match="groups") as refusal:
        require((EQUALS, CONTAINS), {"tid": "t1", "groups": ["canary"]})
    assert "canary" not in str(refusal.value)
