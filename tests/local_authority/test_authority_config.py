"""--config people.toml, and options that cannot work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local_authority.app import create_app
from local_authority.clients.registrations import todo_api
from local_authority.config import read_configuration
from local_authority.config_schema import TABLES
from local_authority.errors import ConfigurationError
from local_authority.options import Lifetimes, Options
from local_authority.seeds import ADA
from tests.world.authority import LocalAuthority, authorization_url, claims_of, response_parameters

DOCUMENT = Path(__file__).parents[2] / "docs" / "local-authority.md"
CLIENT = "cccccccc-0000-4000-8000-000000000001"
API = "dddddddd-0000-4000-8000-000000000001"
TEAM = f"""
[[api]]
client_id = "{API}"
name = "Orders"
scopes = ["Orders.Read", "Orders.Write"]
app_roles = ["Orders.Audit"]

[[client]]
client_id = "{CLIENT}"
name = "Shop"
secret_file = "shop-secret"
redirect_uris = ["http://localhost:3000/bff/callback"]
scopes = ["api://{API}/Orders.Read"]
app_roles = ["Orders.Audit"]

[[person]]
email = "Lin@example.com"
name = "Lin"
password = "a-password-of-lin"
roles = ["Orders.Audit"]
claims = {{ department = "sales", level = 3 }}
"""


def _write(folder: Path, text: str) -> Path:
    (folder / "shop-secret").write_text("s" * 40)
    path = folder / "people.toml"
    path.write_text(text)
    return path


async def test_a_teams_own_world(tmp_path: Path) -> None:
    """Clients, scopes, roles, people and claims of the file stand in place of the built-in ones."""
    authority = LocalAuthority(config=_write(tmp_path, TEAM))
    scope = f"openid profile api://{API}/Orders.Read"
    url = authorization_url(authority, client_id=CLIENT, scope=scope)
    response = await authority.browser().sign_in(url, email="lin@EXAMPLE.com", password="a-password-of-lin")
    tokens = (
        await authority.redeem(response_parameters(response)["code"], client_id=CLIENT, client_secret="s" * 40)
    ).json()
    app = await authority.token(
        grant_type="client_credentials", scope=f"api://{API}/.default", client_id=CLIENT, client_secret="s" * 40
    )
    identity, access = claims_of(tokens["id_token"]), claims_of(tokens["access_token"])

    assert (identity["department"], identity["level"], identity["name"]) == ("sales", 3, "Lin")
    assert (access["aud"], access["scp"], access["roles"]) == (API, "Orders.Read", ["Orders.Audit"])
    assert claims_of(app.json()["access_token"])["roles"] == ["Orders.Audit"]
    assert (await authority.browser().get(authorization_url(authority))).status_code == 400


@pytest.mark.req("T-14", "T-15")
@pytest.mark.parametrize("shape", ["full", "entra"])
async def test_a_client_gets_no_more_than_it_was_granted(tmp_path: Path, shape: str) -> None:
    """A scope that the client was not granted is invalid_scope, at sign-in and at refresh, in either shape."""
    authority = LocalAuthority(config=_write(tmp_path, TEAM), shape=shape)
    granted, denied = f"openid offline_access api://{API}/Orders.Read", f"api://{API}/Orders.Write"
    browser = authority.browser()
    refused = await browser.get(authorization_url(authority, client_id=CLIENT, scope=f"openid {denied}"))
    url = authorization_url(authority, client_id=CLIENT, scope=granted)
    response = await browser.sign_in(url, email="lin@example.com", password="a-password-of-lin")
    client = {"client_id": CLIENT, "client_secret": "s" * 40}
    tokens = (await authority.redeem(response_parameters(response)["code"], **client)).json()
    refreshed = await authority.refresh(tokens["refresh_token"], scope=denied, **client)

    assert response_parameters(refused)["error"] == "invalid_scope"
    assert refreshed.json()["error"] == "invalid_scope"


async def test_what_the_file_does_not_name_stays(tmp_path: Path) -> None:
    """A file of people alone leaves the built-in API and clients."""
    people = TEAM[TEAM.index("[[person]]") :].replace('roles = ["Orders.Audit"]', "")
    authority = LocalAuthority(config=_write(tmp_path, people))
    url = authorization_url(authority)

    assert (await authority.browser().sign_in(url, email=ADA.email, password=ADA.password)).status_code == 422
    response = await authority.browser().sign_in(url, email="lin@example.com", password="a-password-of-lin")
    assert response_parameters(response)["code"]


async def test_a_changed_file_changes_people_and_keeps_who_they_are(tmp_path: Path) -> None:
    """A new password or email of a listed person holds after a restart, under the same oid; sign-ups stay."""
    data = tmp_path / "data"
    first = LocalAuthority(config=_write(tmp_path, TEAM), data=data)
    before = first.services.people.find_hint("lin@example.com")
    await first.services.people.sign_up("mary@example.com", "Mary", "wind-tunnel-1958")
    second = LocalAuthority(config=_write(tmp_path, TEAM.replace("a-password-of-lin", "a-new-password")), data=data)
    after = await second.services.people.sign_in("lin@example.com", "a-new-password")

    assert before is not None
    assert after.oid == before.oid
    assert second.services.people.find_hint("mary@example.com") is not None


@pytest.mark.parametrize(
    ("text", "cures"),
    [
        ("x = [", ["cannot be read as TOML"]),
        ("[[user]]\nname = 'x'", [r"\[\[user\]\] is unknown; there are"]),
        ("[person]\nname = 'x'", [r"person must be written as \[\[person\]\]"]),
        ("[[person]]\nmail = 'x'", ["mail is unknown", "email is missing", "name is missing", "password is missing"]),
        ("[[person]]\nemail=1\nname=''\npassword='short'", ["an email address", "1 to 256", "at least 8"]),
        ("[[api]]\nclient_id='API'\nname='x'\nscopes='y'", ["a GUID in lower case", "a list of names"]),
        ("[[client]]\nclient_id='{id}'\nname='x'", ["give it a secret"]),
        ("[[client]]\nclient_id='{id}'\nname='x'\nsecret='short'", ["at least 32 characters"]),
        ("[[client]]\nclient_id='{id}'\nname='x'\nsecret_file='none'", ["none cannot be read"]),
        (
            "[[client]]\nclient_id='{id}'\nname='x'\nsecret_file='people.toml'\nscopes=['Read']",
            ["no API has the scope Read"],
        ),
        (
            "[[client]]\nclient_id='{id}'\nname='x'\nsecret_file='shop-secret'\napp_roles=['No']",
            ["no API has the app role No"],
        ),
        ("[[client]]\nclient_id='{id}'\nname='x'\nsecret_file='shop-secret'\nredirect_uris=['/x']", ["absolute"]),
        (
            "[[client]]\nclient_id='{id}'\nname='x'\nsecret_file='shop-secret'\nredirect_uris=['http://x/#y']",
            ["fragment"],
        ),
        ("[[client]]\nclient_id='{id}'\nname='x'\ncertificate_file='people.toml'", ["holds no PEM certificate"]),
        ("[[person]]\nemail='a@b.cd'\nname='x'\npassword='12345678'\nroles=['No']", ["no API has the role No"]),
        (
            "[[person]]\nemail='a@b.cd'\nname='x'\npassword='12345678'\nclaims={sub='me'}",
            ["without the claims that are ours"],
        ),
        ("[[person]]\nemail='a@b.cd'\nname='x'\npassword='12345678'\noid='7'", ["a GUID"]),
        (
            "[[person]]\nemail='a@b.cd'\nname='x'\npassword='12345678'\n[[person]]\nemail='A@B.cd'\nname='x'\npassword='12345678'",
            ["each needs its own"],
        ),
    ],
)
def test_every_fault_is_said_with_its_cure(tmp_path: Path, text: str, cures: list[str]) -> None:
    """All faults of a file are said at once, each naming the file, the place and what it must be."""
    path = _write(tmp_path, text.replace("{id}", CLIENT))
    with pytest.raises(ConfigurationError) as refusal:
        read_configuration(path, built_in=(todo_api(),))

    assert all(cause.startswith(f"--config {path}: ") for cause in refusal.value.causes)
    for cure in cures:
        assert re.search(cure, str(refusal.value)), refusal.value.causes
    assert "short" not in str(refusal.value)


def test_a_private_key_is_no_registration(tmp_path: Path) -> None:
    """Whoever registers a private key by mistake is told so, and it is not shown."""
    key = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    (tmp_path / "key.pem").write_text(key)
    with pytest.raises(ConfigurationError, match="it holds a private key") as refusal:
        create_app(Options(client_certificate_file=tmp_path / "key.pem"))

    assert "abc" not in str(refusal.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.com", "", "127.0.0.1.evil.example"])
def test_only_the_loopback_is_listened_on(host: str) -> None:
    """A host that others could reach stops the start, also by the factory."""
    with pytest.raises(ConfigurationError, match="loopback only"):
        create_app(Options(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_every_loopback_address_will_do(host: str) -> None:
    """All of the loopback is the loopback."""
    Options(host=host).check()
    assert Options(host=host).origin.startswith("http://")


def test_all_options_are_judged_at_once() -> None:
    """Every option that cannot work is named in one go."""
    options = Options(
        host="0.0.0.0",
        base_url="http://localhost:3002/path",
        issuer="not a url",
        bff_url="ftp://localhost",
        client_redirects=("http://localhost:99999/",),
        lifetimes=Lifetimes(access_token=0, session=-1),
    )
    with pytest.raises(ConfigurationError) as refusal:
        options.check()

    named = [cause.split(" ", 1)[0] for cause in refusal.value.causes]
    assert named == [
        "--host",
        "--base-url",
        "--issuer",
        "--bff-url",
        "--client-redirect",
        "--access-token-seconds",
        "--session-seconds",
    ]


def test_every_key_is_documented() -> None:
    """docs/local-authority.md names every table and key of the file."""
    text = DOCUMENT.read_text(encoding="utf-8")

    for table, keys in TABLES.items():
        section = text.split(f"### `[[{table}]]`")[1].split("### ")[0]
        assert set(re.findall(r"^\| `([a-z_]+)`", section, flags=re.MULTILINE)) == set(keys)


def test_the_documents_example_works(tmp_path: Path) -> None:
    """The example in the documentation is a configuration that is accepted."""
    example = DOCUMENT.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    found = read_configuration(_write(tmp_path, example), built_in=(todo_api(),))

    assert found.people
    assert found.clients
    assert found.apis
