"""Settings: every violation at once, each with its cure; nothing that must never vary can be set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bff.errors import ConfigurationError
from bff.settings import BFFSettings, RouteSettings, load_settings
from bff.wiring import route_of

GOOD = """
public_url = "https://app.example.org"
[authority]
issuer = "https://login.example.org/tenant/v2.0"
client_id = "client-1"
client_secret = "n4Kd-0Yw8_mQx7Zr2Tb5"
[session]
keys_file = "{keys}"
[[route]]
path = "/api/"
upstream = "https://api.example.org"
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a bff.toml whose key file exists."""
    (tmp_path / "keys.json").write_text("{}")

    def _write(text: str) -> Path:
        path = tmp_path / "bff.toml"
        path.write_text(text.replace("{keys}", str(tmp_path / "keys.json")))
        return path

    return _write


def refused(path: Path) -> list[str]:
    """The causes for which a file is refused."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    return caught.value.causes


def test_good_settings_load(write: Any) -> None:
    """What the documentation shows is accepted."""
    settings = load_settings(write(GOOD))
    assert (settings.origin, settings.session.idle, settings.authority.rotation) == (
        "https://app.example.org",
        1800.0,
        "strict",
    )


@pytest.mark.req("ATK-61")
@pytest.mark.parametrize(
    "secret",
    [
        "Enter_the_Client_Secret_Here",
        "changeme-changeme-changeme",
        "my-client-secret",
        "aaaaaaaaaaaaaaaaaaaa",
        "Zk3_pQ7x",
    ],
)
def test_sample_and_short_secrets_stop_the_start(write: Any, secret: str) -> None:
    """A secret from a tutorial, or one that can be guessed, is refused by name and never printed."""
    causes = refused(write(GOOD.replace("n4Kd-0Yw8_mQx7Zr2Tb5", secret)))
    assert len(causes) == 1
    assert "client_secret" in causes[0]
    assert "Cure:" in causes[0]
    assert secret not in causes[0]


def test_every_violation_is_named_at_once_with_its_cure(write: Any) -> None:
    """An operator corrects a file once, not once per mistake."""
    causes = refused(
        write(
            """
public_url = "https://app.example.org"
[server]
port = 99999
prot = 1
[authority]
client_secret = "changeme"
algorithms = ["none"]
scopes = ["profile"]
[session]
idle = "soon"
ledger = "mysql"
[page]
picture = true
[[route]]
path = "/api/"
upstream = "http://api.example.org"
"""
        )
    )
    text = "\n".join(causes)
    for key in (
        "server.port",
        "server.prot",
        "issuer is missing",
        "client_id is missing",
        "sample value",
        "algorithms",
        "openid",
        "session.idle",
        "route.0",
        "page.picture",
    ):
        assert key in text, key
    assert all("Cure:" in cause for cause in causes)


def test_what_lies_between_sound_tables_is_named_beside_their_neighbours_faults(write: Any) -> None:
    """A conflict of two tables is not hidden by a mistake in a third."""
    text = GOOD.replace("[session]", "[session]\nmachines = 2").replace(
        'path = "/api/"', 'path = "/api/"\ntimeout = "soon"'
    )
    causes = refused(write(text))
    assert any("route.0.timeout" in cause for cause in causes)
    assert any("session.machines" in cause for cause in causes)


def test_every_key_of_a_route_reaches_the_relay() -> None:
    """What the settings name, the relay's own route has, under the same name; each is handed on, not dropped."""
    given = RouteSettings(path="/files/", upstream="http://localhost:1", encoded_slash=True, cacheable=True, timeout=7)
    route = route_of(given)
    assert {name for name in RouteSettings.model_fields if not hasattr(route, name)} == set()
    for name in RouteSettings.model_fields:
        told = getattr(given, name)
        assert getattr(route, name) == (frozenset(told) if name.endswith(("headers", "methods")) else told), name


@pytest.mark.req("ATK-42")
@pytest.mark.parametrize(
    ("relay", "admitted"),
    [
        ("", 256),
        ("max_connections = 1024", 256),
        ("max_connections = 40", 20),
        ("max_connections = 1", 1),
        ("concurrency_per_session = 200", 200),
        ("concurrency_per_session = 3", 3),
    ],
)
def test_no_session_may_hold_more_than_half_of_the_connections(write: Any, relay: str, admitted: int) -> None:
    """Whatever the cap, a session's share leaves as much to everybody else; unless it is set it is 256 at most."""
    assert load_settings(write(f"{GOOD}\n[relay]\n{relay}\n")).relay.concurrency == admitted


@pytest.mark.req("ATK-42")
@pytest.mark.parametrize("relay", ["concurrency_per_session = 257", "max_connections = 3\nconcurrency_per_session = 2"])
def test_more_than_half_of_the_connections_for_one_session_stop_the_start(write: Any, relay: str) -> None:
    """The cause names both settings, for either cures it."""
    (cause,) = refused(write(f"{GOOD}\n[relay]\n{relay}\n"))
    assert "concurrency_per_session" in cause
    assert "max_connections" in cause
    assert "Cure:" in cause


@pytest.mark.parametrize("url", ["http://app.example.org", "app.example.org", "https://app.example.org/sub", "ftp://x"])
def test_public_url_is_an_origin_over_https(write: Any, url: str) -> None:
    """The one public name is scheme, host and port, and plain http is for loopback only."""
    assert any("public_url" in cause for cause in refused(write(GOOD.replace("https://app.example.org", url))))


@pytest.mark.parametrize("key", ["state", "nonce", "code_challenge_method", "response_type", "redirect_uri"])
@pytest.mark.req("BCP-4")
def test_what_must_never_vary_is_no_setting(write: Any, key: str) -> None:
    """PKCE, nonce, state and response type cannot be overridden through authorize_params."""
    text = GOOD.replace("[session]", f'authorize_params = {{ {key} = "x" }}\n[session]')
    assert any(key in cause for cause in refused(write(text)))


def test_the_environment_wins_over_the_file(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """BFF_<TABLE>__<KEY> replaces the file's value."""
    monkeypatch.setenv("BFF_SESSION__IDLE", "5m")
    assert load_settings(write(GOOD)).session.idle == 300.0


def test_a_misspelt_variable_stops_the_start(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in the environment is not silence."""
    monkeypatch.setenv("BFF_SESION__IDLE", "5m")
    assert any("BFF_SESION__IDLE" in cause for cause in refused(write(GOOD)))


@pytest.mark.req("K-21", "K-52", "F14")
def test_a_tenant_is_enough_for_entra(write: Any) -> None:
    """Subdomain and tenant id give the issuer on the GUID host and the metadata on the subdomain's (K-21)."""
    tenant = "0f6f7b1e-7f0d-4c2c-8d1c-3d9e3f0a9b11"
    text = GOOD.replace(
        'issuer = "https://login.example.org/tenant/v2.0"',
        f'profile = "entra-external-id"\ntenant_subdomain = "contoso"\ntenant_id = "{tenant}"',
    )
    authority = load_settings(write(text)).authority
    assert authority.issuer == f"https://{tenant}.ciamlogin.com/{tenant}/v2.0"
    assert (
        authority.effective_metadata_url
        == f"https://contoso.ciamlogin.com/{tenant}/v2.0/.well-known/openid-configuration"
    )
    assert authority.rotation == "overlap"


def test_secrets_come_from_files(write: Any, tmp_path: Path) -> None:
    """client_secret_file is read and trimmed; a file that is not there is named."""
    (tmp_path / "secret").write_text("n4Kd-0Yw8_mQx7Zr2Tb5\n")
    text = GOOD.replace('client_secret = "n4Kd-0Yw8_mQx7Zr2Tb5"', f'client_secret_file = "{tmp_path}/secret"')
    assert load_settings(write(text)).authority.secret == "n4Kd-0Yw8_mQx7Zr2Tb5"
    (tmp_path / "secret").unlink()
    assert any("client_secret_file" in cause for cause in refused(write(text)))


@pytest.mark.req("F13", "F14")
def test_machines_without_a_shared_ledger_are_refused_under_strict_rotation(write: Any) -> None:
    """Cookies, strict rotation and two machines cannot be made safe, so the start says so."""
    text = GOOD.replace("[session]", "[session]\nmachines = 2")
    assert any("machines" in cause for cause in refused(write(text)))
    overlapping = load_settings(write(text.replace("[authority]", '[authority]\nrefresh_rotation = "overlap"')))
    assert overlapping.session.machines == 2


def test_no_secret_in_a_repr(write: Any) -> None:
    """Printing the settings shows no secret (ATK-59)."""
    settings: BFFSettings = load_settings(write(GOOD))
    assert "n4Kd" not in repr(settings)
