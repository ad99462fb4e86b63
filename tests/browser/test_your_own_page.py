"""From an empty directory, the wheel and the npm tarball to a page, an API and a server that are other people's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.world.keycloak_shaped import CLIENT, SECRET
from tests.world.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
START_SECONDS = 40.0


@dataclass
class Workshop:
    """A folder in which nothing of this repository lies but its wheel, its tarball and the examples a page shows."""

    folder: Path
    port: int = field(default_factory=free_port)
    vite: int = field(default_factory=free_port)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def page(self) -> Path:
        return self.folder / "page"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port + 2}/realms/todo"

    def prepare(self) -> None:
        """Install the wheel beside the page, and the tarball into it."""
        dist = self.folder / "dist"
        dist.mkdir()
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
        subprocess.run([*install, str(self.folder / "site"), *map(str, dist.glob("*.whl"))], check=True)
        shutil.copytree(ROOT / "examples/your_own_page", self.page, ignore=shutil.ignore_patterns("node_modules"))
        shutil.copy(ROOT / "examples/your_own_api.py", self.folder)
        shutil.copy(ROOT / "tests/world/keycloak_shaped.py", self.folder)
        subprocess.run([str(ROOT / "clients/js/pack.sh"), str(dist)], check=True)
        # Not `npm ci`: the lock names the platforms it was made on, and ci would ask for all of them.
        self.npm("install", *map(str, dist.glob("*.tgz")))

    def npm(self, *words: str) -> None:
        """Run npm in the page's folder."""
        quiet = ("--silent", "--ignore-scripts", "--no-audit", "--no-fund") if words[0] == "install" else ()
        subprocess.run(["npm", *words, *quiet], cwd=self.page, check=True)

    def start(self, *command: str, ready: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program that sees the wheel's code and none of this tree's, and wait until it answers."""
        everything = {**os.environ, "PYTHONPATH": str(self.folder / "site"), **environment}
        name = self.folder / f"log{len(self.running)}"
        with name.open("wb") as log:
            process = subprocess.Popen(command, cwd=cwd or self.folder, env=everything, stdout=log, stderr=log)
        self.running.append(process)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ready, timeout=2).close()
            except urllib.error.HTTPError:
                return process
            except OSError:
                time.sleep(0.1)
            else:
                return process
        raise RuntimeError(f"{command} did not start: {name.read_text()}")

    def serve(self, public_url: str, *, directory: Path | None = None) -> None:
        """The authorization server, the API and the BFF, for a page at ``public_url``."""
        page = f'[page]\ndirectory = "{directory}"\n' if directory else ""
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "secret").chmod(0o600)
        (self.folder / "bff.toml").write_text(
            f'public_url = "{public_url}"\n{page}[authority]\nissuer = "{self.issuer}"\nclient_id = "{CLIENT}"\n'
            f'client_secret_file = "{self.folder}/secret"\nscopes = ["openid", "profile", "ToDoList.Read"]\n'
            f'end_session = "id_token_hint"\n[session]\nledger = "file:{self.folder}/ledger.sqlite"\n'
            f'[[route]]\npath = "/api/"\nupstream = "http://127.0.0.1:{self.port + 1}"\n'
        )
        python, port = sys.executable, self.port
        self.start(python, "keycloak_shaped.py", str(port + 2), public_url, ready=f"{self.issuer}/x")
        self.start(python, "your_own_api.py", self.issuer, str(port + 1), ready=f"http://127.0.0.1:{port + 1}/x")
        bff = (python, "-m", "bff.cli", "serve", "--config", "bff.toml", "--port", str(port), "--log-style", "console")
        self.start(*bff, ready=f"http://127.0.0.1:{port}/livez")

    def stop(self) -> None:
        """End what was started, the last first."""
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        self.running.clear()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One folder for this file: installing is what takes long."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    made.prepare()
    return made


@pytest.fixture
def services(workshop: Workshop) -> Iterator[Workshop]:
    """A workshop whose programs end with the test."""
    yield workshop
    workshop.stop()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A tab with an empty jar."""
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def signs_in_calls(tab: Page, url: str) -> None:
    """Sign in as Marie, and have the API greet her."""
    tab.goto(url)
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_label("Name").fill("Marie")
    tab.get_by_role("button", name="Sign In").click()
    expect(tab.get_by_text("Hi Marie!")).to_be_visible()
    tab.get_by_role("button", name="Call the API").click()
    expect(tab.get_by_role("status")).to_have_text("The API greets f:marie")


def test_a_page_of_vite_signs_in_calls_and_reloads_hot(services: Workshop, tab: Page) -> None:
    """With Vite in front: sign-in, a call, an edit that shows without losing the session or the page, and sign-out."""
    url = f"http://localhost:{services.vite}"
    services.serve(url)
    environment = {"PORT": str(services.vite), "BFF": f"http://127.0.0.1:{services.port}"}
    services.start("npx", "vite", cwd=services.page, ready=url, **environment)
    signs_in_calls(tab, url)
    tab.evaluate("window.untouched = true")
    source = services.page / "src/App.tsx"
    source.write_text(source.read_text().replace("Our own page", "Our better page"))
    expect(tab.get_by_role("heading", name="Our better page")).to_be_visible()
    assert tab.evaluate("window.untouched")
    expect(tab.get_by_role("status")).to_have_text("The API greets f:marie")
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible(timeout=20_000)
    assert tab.url.startswith(url)
    assert tab.evaluate("document.cookie") == ""


def test_the_built_page_is_served_by_the_bff(services: Workshop, tab: Page) -> None:
    """[page] directory: hashed files for a year, the document never, a document for paths of the page's own."""
    services.npm("exec", "--", "tsc")
    services.npm("exec", "--", "vite", "build")
    url = f"http://localhost:{services.port}"
    services.serve(url, directory=services.page / "dist")
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    kept: dict[str, str] = {}
    tab.on("response", lambda response: kept.update({response.url: response.headers.get("cache-control", "")}))
    signs_in_calls(tab, f"{url}/some/path/of/the/page")
    assert kept[f"{url}/some/path/of/the/page"] == "no-store"
    scripts = [
        cache for address, cache in kept.items() if address.startswith(f"{url}/assets/") and address.endswith(".js")
    ]
    assert scripts == ["public, max-age=31536000, immutable"]
    assert [text for text in complaints if "Content Security Policy" in text] == []
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible(timeout=20_000)


def test_nothing_of_this_tree_is_used(services: Workshop) -> None:
    """The programs of the workshop import the wheel's code, and not the repository's."""
    code = "import bff, resource_api; print(bff.__file__, resource_api.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(services.folder / "site")}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=services.folder, env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.count(str(services.folder / "site")) == 2
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", services.port)) != 0, "every program of the tests before has ended"
