"""``make daemon``: call the API as the seeded daemon, with a token of its own (client credentials, RFC 6749 4.4).

It needs ``make run`` with the same PORT beside it. An application sees everybody's to-dos: its app role says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx

from local_authority import seeds


def main() -> int:
    """Get a token, list all to-dos, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    port = parser.parse_args().port
    secret = Path(".run") / str(port) / "authority" / "daemon-client-secret"
    if not secret.is_file():
        print(f"{secret} is missing. Cure: make run PORT={port}, in another terminal", file=sys.stderr)
        return 1
    authority = f"http://127.0.0.1:{port + 2}/{seeds.TENANT_ID}/v2.0/.well-known/openid-configuration"
    with httpx.Client(trust_env=False, timeout=10) as http:
        try:
            token_endpoint = http.get(authority).raise_for_status().json()["token_endpoint"]
            form = {"grant_type": "client_credentials", "scope": seeds.DEFAULT_SCOPE}
            credentials = (seeds.DAEMON_CLIENT_ID, secret.read_text(encoding="utf-8").strip())
            token = http.post(token_endpoint, data=form, auth=credentials).raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            todos = http.get(f"http://127.0.0.1:{port + 1}/api/todolist", headers=headers).raise_for_status().json()
        except httpx.HTTPError as error:
            print(f"{type(error).__name__}: {error}. Cure: make run PORT={port}, in another terminal", file=sys.stderr)
            return 1
    print(f"The daemon has a token of its own and sees {len(todos)} to-dos of all people:")
    for todo in todos:
        print(f"  {todo['id']:>4}  {todo['owner']}  {todo['description']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
