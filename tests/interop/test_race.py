"""The race, judged by npm's oidc-provider, which is certified and ends the whole grant of a reused refresh token.

``make chaos`` runs fifty rounds in each mode, and keeps their rows in ``build/chaos.json``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx
import pytest

from tests.benchmarks.sign_in import Person, _Form
from tests.interop.peers import HERE, free_port, node, running
from tests.world.chaos import MODES, ROUNDS, Row
from tests.world.page_calls import get
from tests.world.replicas import Mode, Replicas
from tests.world.valkey import Valkey, running_valkey

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]
SECRET = "u3Hq-8Lw2_zTk5Rb9Xn7-4Vd6Pm1Cy0-Jq5Wt"
API = "https://todo.example.test/"
PASSES, PEOPLE = 2, ROUNDS // 2 or 3  # whose sessions race twice: what was kept of the first race serves the second
PARALLEL, TOKEN_SECONDS = 200, 6

ASKED = """scopes = ["openid", "offline_access", "ToDoList.Read"]
authorize_params = {prompt = "consent"}
"""

Jar = dict[str, str]


@dataclass
class ReplicasOfACertifiedServer(Replicas):
    """Processes whose authority is another one; of our peers only the API runs."""

    certified: str = ""

    @property
    def issuer(self) -> str:
        """The certified server's."""
        return self.certified

    def start_authority(self) -> None:
        """It runs already."""

    def _settings(self) -> str:
        (self.folder / "client-secret").write_text(SECRET)
        return super()._settings().replace('client_id = "', 'client_id = "bff" # "', 1)


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """One for all modes."""
    with running_valkey(appendonly="yes") as server:
        yield server


@pytest.fixture(scope="module", params=MODES["race"])
def site(
    request: pytest.FixtureRequest, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReplicasOfACertifiedServer]:
    """Three replicas with sessions in Valkey or with the ledger there, or two workers with the ledger in a file."""
    with valkey.client() as client:
        client.flushall()
    mode: Mode = request.param
    folder, port = tmp_path_factory.mktemp(mode), free_port()
    issuer = f"http://127.0.0.1:{port}"
    replicas = ReplicasOfACertifiedServer(folder, mode=mode, redis_url=valkey.url, certified=issuer, authority=ASKED)
    environment = {
        "PORT": str(port),
        "ISSUER": issuer,
        "API": API,
        "SECRET": SECRET,
        "BFF": replicas.public_url,
        "ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS),
    }
    command, ready = [node(), str(HERE / "node/oidc_provider.mjs")], f"{issuer}/.well-known/openid-configuration"
    with running(command, ready=ready, environment=environment, folder=folder):
        try:
            replicas.start()
            yield replicas
        finally:
            replicas.stop()


def token_calls(site: ReplicasOfACertifiedServer) -> int:
    """How often the server's token endpoint was asked."""
    return int(httpx.get(f"{site.certified}/counted", trust_env=False).text)


def sign_in(site: ReplicasOfACertifiedServer, name: str) -> Jar:
    """Go through the server's own pages: its login form, then its consent form."""
    person = Person(name, "any")
    with httpx.Client(trust_env=False, timeout=20) as http:
        page = person._follow(http, "GET", f"{site.public_url}/bff/login")
        while not str(page.url).startswith(site.public_url):
            form = _Form()
            form.feed(page.text)
            assert form.action is not None, page.text
            filled = {**form.fields, "login": name, "password": "any"} if "login" in form.fields else form.fields
            page = person._follow(http, "POST", urljoin(str(page.url), form.action), filled)
    return dict(pair.split("=", 1) for pair in person.cookie(site.public_url).split("; "))


async def call(site: ReplicasOfACertifiedServer, jar: Jar, replica: int) -> int:
    """One call of the page; what comes back is kept in the jar."""
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    reply = await get(site.ports[replica], "/api/x", site.public_url.removeprefix("http://"), cookie)
    for name, value in reply.cookies:
        jar.pop(name, None)
        if value is not None:
            jar[name] = value
    return reply.status


@pytest.mark.req("F1", "F3", "F4", "F7", "F9", "F13", "ADV-2", "ATK-16", "OA-5", "BBA-17")
async def test_the_race(site: ReplicasOfACertifiedServer) -> None:
    """Two hundred calls through one expired session, round after round: one token call each.

    Nobody is signed out: the grant is used again when the next token has ended, and nothing of it was revoked.
    """
    told = Row("race", site.mode, PASSES * PEOPLE)
    jars = [await asyncio.to_thread(sign_in, site, f"person-{number}") for number in range(PEOPLE)]
    for _ in range(PASSES):
        await asyncio.sleep(TOKEN_SECONDS + 0.1)
        began = time.monotonic()
        for number, jar in enumerate(jars):
            before = token_calls(site)
            answers = await asyncio.gather(*(call(site, jar, one % site.count) for one in range(PARALLEL)))
            calls = token_calls(site) - before
            told.token_calls += calls
            told.logouts += 401 in answers
            assert set(answers) == {200}, f"round {number}"
            assert calls == 1, f"round {number} after {time.monotonic() - began:.1f} s"
    told.keep()
