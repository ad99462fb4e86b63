"""Secrets are compared in constant time (ATK-21): a rule over the source, since no test can see a timing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = {"secret", "token", "tag", "mac", "hmac", "signature", "state", "nonce", "digest", "hexdigest", "hash"}
SECRET |= {"sid", "jti", "ticket", "verifier", "challenge", "password", "thumbprint"}

OURS_BOTH = "one token that we hold against another that we hold: nobody who asks chose either"
OPENED_BOTH = "both sides were sealed by us and have been opened: nobody who asks chose either"
PUBLIC = "no secret, and public on both sides"

EXCEPTIONS = {
    ("bff/relay/callers.py", "newest.tokens.access_token != distrusted"): OURS_BOTH,
    ("bff/relay/callers.py", "tokens.access_token == caller.token"): OURS_BOTH,
    ("bff/relay/client_tokens.py", "known[0].access_token == token"): OURS_BOTH,
    ("bff/session/access_tokens.py", "newest.tokens.access_token != distrusted"): OURS_BOTH,
    ("bff/session/access_tokens.py", "known.tokens.access_token == distrusted"): OURS_BOTH,
    ("bff/session/narrow_tokens.py", "kept.tokens[narrow].tokens.access_token == access_token"): OURS_BOTH,
    ("bff/session/refresher.py", "brought.refresh_token != session.tokens.refresh_token"): OURS_BOTH,
    ("bff/session/packing.py", "_with_base64(parts) == token"): "a token of ours against its own other spelling",
    ("bff/session/ticket.py", "_spelt(raw) != sid"): "an id that was made here, against its own other spelling",
    ("bff/session/generations.py", "found.session.sid != session.sid"): OPENED_BOTH,
    ("bff/session/replaced.py", "sid != transaction.replaces"): OPENED_BOTH,
    ("bff/routes/sessions.py", "one.tag == current"): "two tags of one person's own sessions, both made here",
    ("bff/session/ending_watch.py", "waiting.sid == marks.sid"): "marks: digests made here of sids found here",
    ("bff/session/own_sessions.py", "mark == marks.sid"): "marks: digests made here of sids found here",
    ("bff/session/memory_ledger.py", "key[0] == sid"): "marks, in a dictionary of this process",
    ("bff/relay/lasting.py", "token_end != inf"): "an instant",
    ("resource_api/routes/docs.py", "known == tag"): PUBLIC,
}


def unsafe(source: str) -> Iterator[str]:
    """Every ``==`` and ``!=`` one side of which has a secret's name; what it has beside a literal is a word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if not any(isinstance(side, ast.Constant) for side in sides) and any(
                named(side) & SECRET for side in sides
            ):
                yield ast.unparse(node)


def named(side: ast.expr) -> set[str]:
    """The words of the name that a value is read by: ``form["state"]``, ``claims.get("nonce")``, ``mac(…)``."""
    match side:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return set(re.split(r"[\W_]+", name.lower()))
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return set(re.split(r"[\W_]+", name.lower()))
        case ast.Subscript(value=value) | ast.Await(value=value):
            return named(value)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return set(re.split(r"[\W_]+", name.lower()))
        case ast.Call(func=ast.Attribute(attr="encode" | "decode" | "lower" | "strip", value=value)):
            return named(value)
        case ast.Call(func=func):
            return named(func)
    return set()


@pytest.mark.req("ATK-21")
def test_secrets_are_compared_with_compare_digest_only() -> None:
    """No ``==`` touches what sounds like a secret but where a line above says why it may; no such line is stale."""
    found = {
        (str(path.relative_to(ROOT / "src")), comparison)
        for path in sorted((ROOT / "src").rglob("*.py"))
        for comparison in unsafe(path.read_text(encoding="utf-8"))
    }
    unexplained, stale = found - EXCEPTIONS.keys(), EXCEPTIONS.keys() - found
    assert not unexplained, f"use hmac.compare_digest, or say here why not: {unexplained}"
    assert not stale, f"no longer there: {stale}"


@pytest.mark.req("ATK-21")
@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("a.state == b", True),
        ("claims['nonce'] != expected", True),
        ("form.get('client_secret') == known", True),
        ("hmac.new(k, m).digest() == given", True),
        ("given == mac(k)[:16]", True),
        ("token.encode() != other", True),
        ("await self.signature == other", True),
        ("route.token == 'user'", False),
        ("answer.status_code == codes.OK", False),
        ("hmac.compare_digest(mac, given)", False),
        ("len(token) == 3", False),
    ],
)
def test_the_rule_sees_what_it_should(source: str, *, seen: bool) -> None:
    """Names, members, parameters and results of calls; not the names of policies, and not lengths."""
    assert bool(list(unsafe(f"async def f():\n    {source}"))) is seen
