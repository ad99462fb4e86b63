from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bff.check import Finding, examine
from bff.check.front import check_proxy_settings
from bff.cli import main
from bff.session.cipher import Key, write_keys
from local_authority.seeds import BFF_CLIENT_ID
from tests.world.house import API_ORIGIN, AUTHORITY_ORIGIN, SECRET, House, opened_house
from tests.world.settings import settings_with_session

ROOT = Path(__file__).parents[3]
Changed = Callable[[dict[str, Any]], None]


def of(findings: list[Finding], name: str, level: str) -> list[str]:
    """The messages and cures of one name and level."""
    return [f"{one.message} {one.cure}" for one in findings if one.name == name and one.level == level]


def failures(findings: list[Finding]) -> list[str]:
    """The names of what fails."""
    return sorted({one.name for one in findings if one.level == "fail"})


class Tampered(httpx.AsyncBaseTransport):
    """An internet in which the answers to one path are another server's."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, path_end: str, change: Callable[[httpx.Response], httpx.Response]
    ) -> None:
        self.inner, self.path_end, self.change = inner, path_end, change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        return self.change(response) if request.url.path.endswith(self.path_end) else response


def document(**changes: Any) -> Callable[[httpx.Response], httpx.Response]:
    """A JSON document with other members; None takes one out."""

    def change(response: httpx.Response) -> httpx.Response:
        merged = {**response.json(), **changes}
        kept = {key: value for key, value in merged.items() if value is not None}
        return httpx.Response(200, json=kept, headers={"Date": response.headers.get("Date", "")})

    return change


async def findings_of(house: House, transport: Any = None, **options: Any) -> list[Finding]:
    """What check says of a house."""
    return await examine(house.settings(), transport=transport or house.internet, clock=house.clock, **options)


@pytest.mark.req("G5", "ADV-10")
async def test_a_house_in_order_passes(tmp_path: Path) -> None:
    """Nothing fails where sign-in works, and what was seen to work is said with what it was seen by."""
    async with opened_house(
        tmp_path, settings={"authority": {"client_secret": None, "client_secret_file": secret(tmp_path)}}
    ) as house:
        findings = await findings_of(house, running=True)
    assert failures(findings) == []
    passed = {one.name for one in findings if one.level == "pass"}
    assert passed >= {
        "discovery", "pkce", "clock", "signing keys", "client credentials", "redirect uri", "scopes", "cookie budget",
        "session store", "replicas", "upstreams", "reverse proxy", "cookie keys", "client secret",
    }  # fmt: skip
    assert all(one.cure for one in findings if one.level != "pass")


def secret(folder: Path, value: str = SECRET, mode: int = 0o600) -> Path:
    """A client secret in a file."""
    path = folder / "client-secret"
    path.write_text(value)
    path.chmod(mode)
    return path


def certificate(folder: Path, *, ends: datetime) -> dict[str, Any]:
    """A key and its certificate, in files, as the settings take them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bff")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(ends - timedelta(days=400)).not_valid_after(ends)
    (folder / "c.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "k.pem").write_bytes(pem)
    (folder / "k.pem").chmod(0o600)
    return {"client_secret": None, "private_key_file": folder / "k.pem", "certificate_file": folder / "c.pem"}


WEAK = {"kty": "RSA", "kid": "weak", "n": "u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0t" * 2, "e": "AQAB"}
METADATA, KEYS = "/openid-configuration", "/keys"


@pytest.mark.req("G5", "ADV-10", "P-02")
@pytest.mark.parametrize(
    ("path_end", "change", "name", "words"),
    [
        (
            METADATA,
            document(issuer="https://contoso.ciamlogin.com/x/v2.0"),
            "discovery",
            "received 'https://contoso.ci",
        ),
        (METADATA, document(token_endpoint=None), "discovery", "token_endpoint"),
        (METADATA, document(code_challenge_methods_supported=["plain"]), "pkce", "without S256"),
        (METADATA, lambda _: httpx.Response(404), "discovery", "404"),
        (METADATA, lambda _: httpx.Response(200, text="<html>"), "discovery", "no metadata"),
        (KEYS, document(keys=[]), "signing keys", "holds none"),
        (KEYS, document(keys=[WEAK]), "signing keys", "RSA of "),
        (KEYS, document(keys=[{**WEAK, "d": "AQAB"}]), "signing keys", "PRIVATE"),
        (KEYS, lambda _: httpx.Response(500), "signing keys", "500"),
        ("/token", lambda _: httpx.Response(503), "client credentials", "no answer"),
    ],
)
async def test_a_server_that_cannot_be_used_is_named_by_its_cause(
    tmp_path: Path, path_end: str, change: Any, name: str, words: str
) -> None:
    """Each fault of an authorization server fails under its own name, with its cause in the message and a cure."""
    async with opened_house(tmp_path) as house:
        findings = await findings_of(house, Tampered(house.internet, path_end, change))
    assert failures(findings) == [name]
    assert any(words in message for message in of(findings, name, "fail")), findings


@pytest.mark.req("G5", "ADV-10")
@pytest.mark.parametrize(
    ("authority", "name", "words"),
    [
        ({"client_secret": "another-Secret-9f2Kq"}, "client credentials", "refuses this client"),
        ({"scopes": ["openid", "offline_access", "api://nobody/Nothing"]}, "scopes", "invalid_scope"),
        ({"metadata_url": "http://127.0.0.1:9/nothing"}, "discovery", "ConnectError"),
    ],
)
async def test_a_setting_that_the_server_refuses_is_named(
    tmp_path: Path, authority: dict[str, Any], name: str, words: str
) -> None:
    """What only the server can know, a wrong secret or a scope it does not give, is found out by asking."""
    async with opened_house(tmp_path) as house:
        house.bff_overrides["authority"] = authority
        findings = await findings_of(house)
    assert name in failures(findings)
    assert any(words in message for message in of(findings, name, "fail")), findings
    assert all(SECRET not in str(one) and "another-Secret" not in str(one) for one in findings)


async def test_a_redirect_uri_that_is_not_registered_is_found(tmp_path: Path) -> None:
    """With another public_url the authorization server refuses the way back; both addresses are named."""
    async with opened_house(tmp_path) as house:
        house.origin = "http://localhost:3999"
        findings = await findings_of(house)
    assert "redirect uri" in failures(findings)
    assert "http://localhost:3999/bff/callback" in of(findings, "redirect uri", "fail")[0]


async def test_entras_page_in_the_place_of_a_redirect_is_read(tmp_path: Path) -> None:
    """Entra answers 200 with a page that holds AADSTS50011 where the redirect URI is not registered."""
    page = lambda _: httpx.Response(200, text="<html>AADSTS50011: The redirect URI …")  # noqa: E731 — because a parameter is one
    async with opened_house(tmp_path) as house:
        findings = await findings_of(house, Tampered(house.internet, "/authorize", page))
    assert "refuses the redirect URI" in of(findings, "redirect uri", "fail")[0]


async def test_a_server_that_sends_codes_anywhere_is_a_failure(tmp_path: Path) -> None:
    """A stranger's address that is redirected to as well means that redirect URIs are not compared."""

    class Anywhere(Tampered):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not request.url.path.endswith("/authorize"):
                return await self.inner.handle_async_request(request)
            back = request.url.params["redirect_uri"]
            return httpx.Response(303, headers={"Location": f"{back}?error=login_required"})

    async with opened_house(tmp_path) as house:
        findings = await findings_of(house, Anywhere(house.internet, "", document()))
    assert "any address" in of(findings, "redirect uri", "fail")[0]


@pytest.mark.req("G5")
@pytest.mark.parametrize(("seconds", "level"), [(0, "pass"), (12, "warn"), (-12, "warn"), (45, "fail"), (-45, "fail")])
async def test_the_clock_is_measured(tmp_path: Path, seconds: float, level: str) -> None:
    """The server's clock is compared with ours: fine, noticeable, or beyond the leeway that tokens are given."""
    async with opened_house(tmp_path) as house:
        house.authority_clock.ahead = seconds
        findings = await findings_of(house)
    assert of(findings, "clock", level), findings


@pytest.mark.req("K-24")
async def test_entras_shape_is_told_what_it_cannot_do(tmp_path: Path) -> None:
    """Thin metadata: no PKCE statement is a warning, and what front-channel logout needs is said."""
    async with opened_house(tmp_path, authority={"shape": "entra"}) as house:
        findings = await findings_of(house)
    assert failures(findings) == []
    assert "/bff/frontchannel-logout, and have the claim sid" in of(findings, "single sign-out", "pass")[0]
    assert of(findings, "pkce", "warn")


@pytest.mark.req("ATK-61")
@pytest.mark.parametrize(
    ("prepare", "level", "words"),
    [
        (
            lambda folder: {"client_secret": None, "client_secret_file": secret(folder, mode=0o644)},
            "fail",
            "others on this",
        ),
        (lambda _: {"client_secret": "abababababababab1212"}, "warn", "4 different characters"),
        (lambda _: {}, "warn", "settings themselves"),
        (lambda folder: certificate(folder, ends=datetime.now(UTC) - timedelta(days=1)), "fail", "it ended"),
        (lambda folder: certificate(folder, ends=datetime.now(UTC) + timedelta(days=9)), "warn", "in 9 days"),
    ],
)
async def test_what_is_secret_is_strong_private_and_in_time(
    tmp_path: Path, prepare: Callable[[Path], dict[str, Any]], level: str, words: str
) -> None:
    """A secret that others may read or that has ended fails; one that is weak, or ends soon, is warned of."""
    async with opened_house(tmp_path) as house:
        house.bff_overrides["authority"] = prepare(tmp_path)
        findings = await findings_of(house)
    assert any(words in message for message in of(findings, "client secret", level)), findings


@pytest.mark.parametrize(("days", "level"), [(-1, "fail"), (10, "warn"), (100, "pass")])
async def test_a_secrets_end_is_read_beside_it(tmp_path: Path, days: int, level: str) -> None:
    """The end that make entra wrote beside the secret is compared with the clock."""
    path = secret(tmp_path)
    async with opened_house(tmp_path) as house:
        ends = datetime.fromtimestamp(house.clock.now(), UTC) + timedelta(days=days)
        (tmp_path / "client-secret.ends").write_text(ends.isoformat())
        house.bff_overrides["authority"] = {"client_secret": None, "client_secret_file": path}
        findings = await findings_of(house)
    assert of(findings, "client secret", level), findings


@pytest.mark.parametrize(
    ("session", "server", "name", "level", "words"),
    [
        ({"max_cookie_bytes": 2048}, {}, "cookie budget", "fail", "does not fit"),
        ({"ledger": "memory"}, {}, "session store", "warn", "in memory"),
        ({"ledger": "file:/proc/nowhere/l.sqlite"}, {}, "session store", "fail", "cannot be written"),
        ({"ledger": "memory"}, {"workers": 2}, "replicas", "fail", "each has its own"),
        ({"machines": 2}, {}, "replicas", "warn", "ledger of its own"),
    ],
)
async def test_sessions_that_cannot_be_kept_are_named(
    tmp_path: Path, session: dict[str, Any], server: dict[str, Any], name: str, level: str, words: str
) -> None:
    """Too little room, no memory of endings, machines that share nothing: each by its own line."""
    async with opened_house(tmp_path) as house:
        house.bff_overrides |= {"session": session, "server": server, "authority": {"refresh_rotation": "overlap"}}
        findings = await findings_of(house)
    assert any(words in message for message in of(findings, name, level)), findings


@pytest.mark.req("F22")
async def test_an_old_key_is_named(tmp_path: Path) -> None:
    """A ring whose newest key is half a year old is due for rotation."""
    async with opened_house(tmp_path) as house:
        write_keys(tmp_path / "keys.json", (Key.generate(use_from=house.clock.now() - 200 * 86_400),))
        findings = await findings_of(house)
    assert "bff keys rotate" in of(findings, "cookie keys", "warn")[0]


async def test_an_upstream_that_is_down_or_open_is_named(tmp_path: Path) -> None:
    """No answer is a failure; an answer to somebody without a token is a warning."""

    async def anybody(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all of it"})

    async with opened_house(tmp_path) as house:
        house.internet.put(API_ORIGIN, anybody)
        assert "without a token" in of(await findings_of(house), "upstreams", "warn")[0]
        house.internet.take_down(API_ORIGIN)
        assert "ConnectError" in of(await findings_of(house), "upstreams", "fail")[0]


def without(name: str) -> Callable[[httpx.Response], httpx.Response]:
    """An answer that lost a header on its way."""

    def change(response: httpx.Response) -> httpx.Response:
        with contextlib.suppress(KeyError):
            del response.headers[name]
        return response

    return change


@pytest.mark.req("G5", "P-04")
@pytest.mark.parametrize(
    ("path_end", "change", "words"),
    [
        ("/bff/login", without("set-cookie"), "cookie is lost"),
        ("/bff/user", without("cache-control"), "no-store is lost"),
        ("/bff/user", lambda _: httpx.Response(200, text="<html>the shop</html>"), "not the BFF's"),
        ("/bff/user", lambda _: httpx.Response(421), "another Host"),
        ("/bff/user", lambda _: httpx.Response(431), "7168 bytes of cookies"),
        ("/bff/probe", lambda _: httpx.Response(502), "became 502"),
        ("/bff/probe", without("set-cookie"), "0 of 7168 bytes"),
    ],
)
async def test_a_reverse_proxy_that_loses_something_is_named(
    tmp_path: Path, path_end: str, change: Any, words: str
) -> None:
    """The running deployment is asked as a browser asks it; what the proxy takes away is named."""
    async with opened_house(tmp_path) as house:
        findings = await findings_of(house, Tampered(house.internet, path_end, change), running=True)
    assert any(words in message for message in of(findings, "reverse proxy", "fail")), findings


class Holding(httpx.AsyncBaseTransport):
    """A proxy that passes a request on when it has all of it."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        whole = httpx.Request(request.method, request.url, headers=request.headers, content=await request.aread())
        return await self.inner.handle_async_request(whole)


@pytest.mark.req("F5", "G5")
async def test_a_proxy_that_holds_uploads_back_is_named(tmp_path: Path) -> None:
    """The body of the check's own question takes its time, and the deployment says how long it saw it come."""
    async with opened_house(tmp_path) as house:
        findings = await findings_of(house, Holding(house.internet), running=True)
    (told,) = of(findings, "reverse proxy", "warn")
    assert "only when it is whole" in told
    assert "proxy_request_buffering off" in told


@pytest.mark.req("F21", "G5")
@pytest.mark.parametrize("budget", [2048, 20480])
async def test_the_budget_of_the_settings_goes_out_and_comes_back(tmp_path: Path, budget: int) -> None:
    """As many bytes of cookies as ``max_cookie_bytes``, in both directions, and no cookie that stays."""
    seen: dict[str, httpx.Response] = {}

    def keep(response: httpx.Response) -> httpx.Response:
        seen[response.request.method] = response
        return response

    async with opened_house(tmp_path, settings={"session": {"max_cookie_bytes": budget}}) as house:
        findings = await findings_of(house, Tampered(Requesting(house.internet), "", keep), running=True)
    assert any(str(budget) in one for one in of(findings, "reverse proxy", "pass")), findings
    back = seen["POST"].headers.get_list("set-cookie")
    assert sum(len(line.partition(";")[0]) for line in back) >= budget
    assert all("Max-Age=0" in line and len(line) <= 4096 for line in back)


class Requesting(httpx.AsyncBaseTransport):
    """Each response knows what it answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        response.request = request
        return response


async def test_a_deployment_of_other_keys_is_not_asked_in_vain(tmp_path: Path) -> None:
    """Its answer to the check's own question says nothing of a proxy, and the check says so."""
    async with opened_house(tmp_path) as house:
        write_keys(tmp_path / "keys.json", (Key.generate(use_from=house.clock.now() - 86_400),))
        findings = await findings_of(house, running=True)
    assert "404: it has other keys" in of(findings, "reverse proxy", "warn")[0]


@pytest.mark.req("F5", "F21")
@pytest.mark.parametrize(("public_url", "said"), [("https://app.example", True), ("http://localhost:3000", False)])
def test_what_nginx_does_by_default_is_said_before_the_start(public_url: str, *, said: bool) -> None:
    """Who is reached through a proxy is told of its two defaults, and where the recipe is."""
    settings = settings_with_session().model_copy(update={"public_url": public_url})
    told = [one.line() for one in check_proxy_settings(settings, running=False) if "nginx" in one.line()]
    assert bool(told) is said
    assert all("proxy_request_buffering off" in one and "proxy_buffer_size 32k" in one for one in told)
    assert not [one for one in check_proxy_settings(settings, running=True) if "nginx" in one.line()]


async def test_another_public_url_than_the_deployments_is_found(tmp_path: Path) -> None:
    """A sign-in that leads back elsewhere is the deployment's own public_url, and not the one being checked."""

    def change(response: httpx.Response) -> httpx.Response:
        response.headers["location"] = response.headers["location"].replace("localhost%3A3000", "old.example")
        return response

    async with opened_house(tmp_path) as house:
        findings = await findings_of(house, Tampered(house.internet, "/bff/login", change), running=True)
    assert "old.example" in of(findings, "reverse proxy", "fail")[0]


def written(folder: Path, **changes: str) -> Path:
    """A bff.toml whose authorization server is not there."""
    values = {"client_id": BFF_CLIENT_ID, "client_secret": SECRET, "issuer": f"{AUTHORITY_ORIGIN[:-4]}9/x"} | changes
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    path = folder / "bff.toml"
    session = f'[session]\nledger = "file:{folder}/l.sqlite"\n'
    path.write_text('public_url = "http://localhost:3000"\n[authority]\n' + "\n".join(lines) + "\n" + session)
    return path


def run(*arguments: str) -> tuple[int, str]:
    """The command, its status and what it printed."""
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.mark.req("G5", "ADV-10")
def test_the_command_prints_a_line_each_and_ends_with_a_status(tmp_path: Path) -> None:
    """One line a finding with its cure and page; 1 where something fails; --json says the same to a program."""
    status, said = run("check", "--config", str(written(tmp_path)))
    assert status == 1
    line = next(line for line in said.splitlines() if "discovery" in line)
    assert line.startswith("fail  discovery: no metadata")
    assert "Cure: " in line
    assert "(docs/check.md#discovery)" in line
    status, said = run("check", "--json", "--config", str(written(tmp_path)))
    findings = json.loads(said)
    assert status == 1
    assert {"name", "level", "message", "cure", "page"} == set(findings[0])
    assert "fail" in {one["level"] for one in findings}
    assert SECRET not in said


@pytest.mark.req("ATK-61", "ATK-66")
def test_settings_that_cannot_work_are_findings_too(tmp_path: Path) -> None:
    """A sample secret and an unknown table are named together, each with its cure, in both forms."""
    path = written(tmp_path, client_secret="Enter_the_Client_Secret_Here")
    path.write_text(path.read_text() + '[colours]\npage = "blue"\n')
    status, said = run("check", "--config", str(path))
    assert status == 1
    assert "sample value" in said
    assert "colours" in said
    _, said = run("check", "--json", "--config", str(path))
    assert {one["name"] for one in json.loads(said)} == {"settings"}
    assert all(one["cure"] for one in json.loads(said))


def test_offline_calls_nobody(tmp_path: Path) -> None:
    """With --offline only the settings are judged."""
    status, said = run("check", "--offline", "--config", str(written(tmp_path)))
    assert (status, said.count("\n")) == (0, 1)


def test_every_finding_has_a_heading_to_read() -> None:
    """Each name that the code gives a finding is a heading of docs/check.md, and no heading is left over."""
    text = (ROOT / "docs/check.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/bff/check").glob("*.py"))
    names = set(re.findall(r'(?:passed|warned|failed|_readable|_end)\(\s*"([^"]+)"', code)) | {"settings"}
    assert names == headings


@pytest.mark.req("F22")
def test_keys_are_made_rotated_and_listed_without_a_secret(tmp_path: Path) -> None:
    """A new ring seals at once; a rotated key waits for its time; the list tells which is which, and no secret."""
    path = tmp_path / "keys.json"
    assert run("keys", "new", "--file", str(path))[0] == 0
    assert run("keys", "new", "--file", str(path))[0] == 1
    assert "seals from" in run("keys", "rotate", "--file", str(path), "--after", "600")[1]
    assert run("keys", "rotate", "--file", str(path))[0] == 1, "one waits already"
    listed = run("keys", "list", "--file", str(path))[1].splitlines()
    assert [line.split()[1] for line in listed] == ["seals", "waits"]
    secrets = [key["secret"] for key in json.loads(path.read_text())["keys"]]
    assert not any(one in "".join(listed) for one in secrets)
    assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116 — because the mode is the law here


@pytest.mark.req("F22")
def test_rotation_keeps_every_key_that_may_still_open_something(tmp_path: Path) -> None:
    """A key is dropped only when the one after it has sealed for longer than anything old may live."""
    now = datetime.now(UTC).timestamp()
    ages = [200, 100, 20]
    path = tmp_path / "keys.json"
    write_keys(path, tuple(Key.generate(use_from=now - age * 86_400) for age in ages))
    assert "1 dropped" in run("keys", "rotate", "--file", str(path))[1]
    assert len(json.loads(path.read_text())["keys"]) == 3
