"""What is kept on disk: everything a restart must not lose, and for the owner's eyes alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local_authority.app import create_app
from local_authority.errors import ConfigurationError
from local_authority.options import Options
from local_authority.people import hash_password, verify_password
from local_authority.secret_values import secret_in_file
from local_authority.seeds import ADA
from local_authority.store import Store
from tests.world.authority import CLIENT_SECRET, LocalAuthority, authorization_url, claims_of, response_parameters


async def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    """People, keys, sessions, refresh tokens, subjects and open forms outlive the process."""
    first = LocalAuthority(data=tmp_path)
    browser = first.browser()
    url = authorization_url(first)
    signed_up = await browser.sign_up(url, email="mary@example.com", name="Mary", password="wind-tunnel-1958")
    tokens = (await first.redeem(response_parameters(signed_up)["code"])).json()
    other = first.browser()
    page = await other.get(url)
    published = first.services.keys.published()
    first.services.people._store.close()

    second = LocalAuthority(data=tmp_path, key=None)
    browser.authority = other.authority = second
    silent = response_parameters(await browser.get(authorization_url(second, prompt="none")))
    refreshed = (await second.refresh(tokens["refresh_token"])).json()
    filled = await other.fill(page, email="mary@example.com", password="wind-tunnel-1958")

    assert second.services.keys.published() == published
    assert "code" in silent
    assert claims_of(refreshed["id_token"])["sub"] == claims_of(tokens["id_token"])["sub"]
    assert "code" in response_parameters(filled)


async def test_reuse_is_seen_across_a_restart(tmp_path: Path) -> None:
    """A refresh token that was spent before a restart is spent after it, and so is a code."""
    first = LocalAuthority(data=tmp_path)
    code = response_parameters(await first.browser().sign_in(authorization_url(first)))["code"]
    tokens = (await first.redeem(code)).json()
    await first.refresh(tokens["refresh_token"])
    second = LocalAuthority(data=tmp_path)

    assert (await second.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await second.redeem(code)).json()["error"] == "invalid_grant"


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """Folder 0700, every file in it 0600."""
    folder = tmp_path / "data"
    create_app(Options(data=folder, password_cost=2))

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {"authority.sqlite3", "bff-client-secret", "daemon-client-secret"} <= {file.name for file in files}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def _bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("authority*"))


async def test_what_is_kept_cannot_be_used(tmp_path: Path) -> None:
    """No password, code, refresh token or cookie stands in the file as it is."""
    authority = LocalAuthority(data=tmp_path)
    browser = authority.browser()
    response = await browser.sign_up(
        authorization_url(authority), email="mary@example.com", name="Mary", password="wind-tunnel-1958"
    )
    code = response_parameters(response)["code"]
    tokens = (await authority.redeem(code)).json()
    cookie = browser.cookies[authority.services.cookies.session_name].partition(".")[2]
    kept = _bytes_in(tmp_path)

    assert b"mary@example.com" in kept
    for secret in ("wind-tunnel-1958", code, tokens["refresh_token"], cookie, tokens["id_token"]):
        assert secret.encode() not in kept


def test_client_secrets_are_made_once_and_are_no_samples(tmp_path: Path) -> None:
    """Each machine makes its own secrets; a start finds those of the last one."""
    paths = [tmp_path / name / "secret" for name in ("one", "two")]
    secrets = [secret_in_file(path) for path in (*paths, paths[0])]

    assert secrets[0] == secrets[2] != secrets[1]
    assert all(len(secret) >= 43 for secret in secrets)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


def test_the_secret_file_is_an_option(tmp_path: Path) -> None:
    """--client-secret-file is where the BFF's secret is made and read."""
    path = tmp_path / "elsewhere" / "secret"
    authority = LocalAuthority(client_secret=None, client_secret_file=path)
    clients = authority.services.registry.clients

    assert path.read_text().strip() in {client.secret for client in clients.values()}


def test_a_short_secret_stops_the_start(tmp_path: Path) -> None:
    """A secret file that holds next to nothing is refused, with the cure and without the secret."""
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    with pytest.raises(ConfigurationError, match="remove it and one is made") as refusal:
        secret_in_file(path)

    assert "hunter2" not in str(refusal.value)


def test_in_memory_every_start_is_new() -> None:
    """Without a folder nothing is kept, secrets and subjects neither."""
    one, other = LocalAuthority(client_secret=None), LocalAuthority(client_secret=None)

    assert one.daemon_secret != other.daemon_secret
    assert one.services.tokens.subject("x", "y") != other.services.tokens.subject("x", "y")


def test_nothing_secret_is_in_a_repr(authority: LocalAuthority) -> None:
    """Options, clients, people and services show no secret when they are printed."""
    services = authority.services
    values = (authority.options, services.registry, services.people.find(ADA.oid), ADA)
    shown = " ".join(repr(value) for value in values)

    assert CLIENT_SECRET not in shown
    assert authority.daemon_secret not in shown
    assert "scrypt" not in shown
    assert ADA.password not in shown


def test_passwords_are_salted_and_stretched() -> None:
    """Two hashes of one password differ, both verify, and another password does not."""
    one, other = hash_password("same", 2**14), hash_password("same", 2**14)

    assert one != other
    assert one.startswith("scrypt$16384$")
    assert verify_password("same", one)
    assert verify_password("same", other)
    assert not verify_password("Same", one)


def test_what_has_expired_is_forgotten(tmp_path: Path) -> None:
    """Trim forgets by the instant that a record was kept with, and nothing else."""
    from local_authority.grants import RefreshToken

    store = Store(tmp_path)
    record = RefreshToken(grant_id="g", expires_at=10.0)
    store.put("dated", record, expires_at=10.0)
    store.put("undated", record)
    store.trim(11.0)

    assert store.get(RefreshToken, "dated") is None
    assert store.get(RefreshToken, "undated") == record


def test_writes_happen_together_or_not_at_all() -> None:
    """An error inside together() undoes every write of it."""
    from local_authority.grants import RefreshToken

    store = Store(None)

    def write_and_fail() -> None:
        with store.together():
            store.put("x", RefreshToken(grant_id="g", expires_at=1.0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()

    assert store.get(RefreshToken, "x") is None
