"""``make entra ARGS="plan|apply|destroy …"``: prepare an external tenant for the tutorial, through Microsoft Graph."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx

from deploy.entra import sign_in
from deploy.entra.graph import Graph, GraphRefused, GraphUnreachable
from deploy.entra.preparation import Preparation, Step
from deploy.entra.wanted import Wanted
from deploy.entra.written import write_settings


def main(
    arguments: list[str] | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Do what was asked; 0 when it is done, 1 with the reason and the cure when it is not."""
    chosen = _parser().parse_args(arguments)
    try:
        token = _token(chosen)
        graph = Graph(token, transport=transport, sleep=sleep, tell=lambda words: print(f"    {words}"))
        try:
            return _run(chosen, _preparation(chosen, graph, now()))
        finally:
            graph.close()
    except (GraphRefused, GraphUnreachable, sign_in.SignInFailed, OSError) as failure:
        print(f"{failure}\nWhat was done stays done; {chosen.command} can be run again.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make entra", description=__doc__)
    parser.add_argument("command", choices=["plan", "apply", "destroy"])
    parser.add_argument("--tenant", default="organizations", help="tenant id or NAME.onmicrosoft.com")
    parser.add_argument("--client-id", help="sign in through your own public client")
    parser.add_argument("--access-token-file", type=Path, help="a token for Microsoft Graph; then nobody signs in")
    parser.add_argument("--public-url", default="http://localhost:3000", help="where people reach the BFF")
    parser.add_argument("--label", default="todo", help="tells several sets in one tenant apart")
    parser.add_argument("--flow-name", default="SignInSignUpSample")
    parser.add_argument("--certificate", action="store_true", help="a certificate in the secret's place")
    parser.add_argument("--no-daemon", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(), help="where bff.toml and resource_api.toml go")
    return parser


def _token(chosen: argparse.Namespace) -> str:
    if chosen.access_token_file:
        return sign_in.from_file(chosen.access_token_file)
    return sign_in.by_device_code(sign_in.public_client(chosen.tenant, chosen.client_id), print)


def _preparation(chosen: argparse.Namespace, graph: Graph, now: datetime) -> Preparation:
    wanted = Wanted(
        label=chosen.label,
        public_url=chosen.public_url.rstrip("/"),
        daemon=not chosen.no_daemon,
        flow_name=chosen.flow_name,
    )
    folder = (chosen.out / ".entra" / chosen.label).absolute()
    return Preparation(graph=graph, wanted=wanted, folder=folder, now=now, certificate=chosen.certificate)


def _run(chosen: argparse.Namespace, preparation: Preparation) -> int:
    preparation.look()
    print(f"tenant {preparation.subdomain} ({preparation.tenant_id}), label {chosen.label}")
    if chosen.command == "plan":
        return _plan(list(preparation.steps()))
    if chosen.command == "destroy":
        return _apply(list(preparation.removals()))
    _apply(list(preparation.steps()))
    for path in write_settings(preparation, chosen.out):
        print(f"  wrote {path}")
    for registration in preparation.registrations():
        kept = preparation.kept(registration)
        if kept is not None:
            print(f"  the {registration.role}'s credential is in {kept.path} and ends on {kept.ends:%Y-%m-%d}")
        if others := preparation.other_secrets(registration):
            print(print(f"  {others} more of the {registration.role}'s secrets can be used; remove what nobody needs"))
    print("Next: bff keys new --file .entra/LABEL/keys.json, then bff check, then make run CONFIG=bff.toml …")
    return 0


def _plan(steps: list[Step]) -> int:
    changes = 0
    for step in steps:
        difference = step.difference()
        changes += bool(difference)
        print(f"  {'+' if difference else '='} {step.title}{f': {difference}' if difference else ''}")
    print(f"{changes} of {len(steps)} steps would change something; nothing was changed.")
    return 0


def _apply(steps: list[Step]) -> int:
    for number, step in enumerate(steps, 1):
        difference = step.difference()
        print(f"  [{number}/{len(steps)}] {step.title}: {difference or 'it is so already'}", flush=True)
        if difference:
            step.make()
    if not steps:
        print("  nothing of ours is there.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
