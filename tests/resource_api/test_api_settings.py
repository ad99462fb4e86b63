"""Settings that cannot work stop the start, all at once, each with its cure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from resource_api.cli import main
from resource_api.errors import ConfigurationError
from resource_api.settings import ResourceAPISettings, load_settings
from tests.world.tokens import API_CLIENT_ID, ISSUER, METADATA_URL

GOOD = f"""
issuers = ["{ISSUER}"]
metadata_url = "{METADATA_URL}"
audience = "{API_CLIENT_ID}"
profile = "entra-v2"
database_url = "sqlite+aiosqlite:///todos.sqlite"
port = 3101
"""


ASKING = {"introspection_client_id": "api", "introspection_client_secret": SecretStr("s3cret")}


def written(folder: Path, *lines: str) -> Path:
    """A configuration file."""
    path = folder / "resource_api.toml"
    path.write_text(GOOD + "\n".join(lines), encoding="utf-8")
    return path


def causes_of(**values: Any) -> list[str]:
    """Why these settings cannot work."""
    good = {"issuers": (ISSUER,), "metadata_url": METADATA_URL, "audience": API_CLIENT_ID}
    with pytest.raises(ConfigurationError) as refusal:
        ResourceAPISettings(**{**good, **values})
    return refusal.value.causes


def test_a_file_is_enough(tmp_path: Path) -> None:
    """A file gives every setting; what it leaves out has a default."""
    settings = load_settings(written(tmp_path, 'client_allow_list = ["a", "b"]'))
    assert (settings.issuers, settings.port, settings.host) == ((ISSUER,), 3101, "127.0.0.1")
    assert settings.token_rules().clients == {"a", "b"}
    (issuer,) = settings.trusted_issuers()
    assert (issuer.identifier, issuer.metadata_url) == (ISSUER, METADATA_URL)


def test_who_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins over the environment, and that over the file; a list in a variable has commas."""
    path = written(tmp_path)
    monkeypatch.setenv("RESOURCE_API_PORT", "3102")
    monkeypatch.setenv("RESOURCE_API_CLIENT_ALLOW_LIST", "a, b")
    monkeypatch.setenv("RESOURCE_API_CONFIG", str(path))
    assert (load_settings().port, load_settings(port=3103).port) == (3102, 3103)
    assert load_settings().client_allow_list == ("a", "b")


def test_the_usual_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being told, the file in the current folder is read."""
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_settings().port == 3101


@pytest.mark.req("K-32", "P-02")
def test_an_issuer_stays_as_it_is_written() -> None:
    """No slash is added to an issuer and none taken away: it is compared, not visited."""
    for issuer in ("https://issuer.example", "https://issuer.example/", "https://issuer.example/a//b"):
        assert ResourceAPISettings(issuers=(issuer,), audience="a").issuers == (issuer,)


@pytest.mark.req("P-01")
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"issuers": ()}, "issuers is empty"),
        ({"issuers": ("http://issuer.example",)}, "http://issuer.example"),
        ({"issuers": ("issuer.example",)}, "issuer.example"),
        ({"issuers": (ISSUER + "?a=b",)}, "query"),
        ({"issuers": (ISSUER, ISSUER), "metadata_url": None}, "twice"),
        ({"issuers": (ISSUER, "https://b.example"), "metadata_url": None, "profile": "jwt"}, "unique only within one"),
        ({"issuers": (ISSUER, "https://b.example")}, "belong to one issuer"),
        ({"metadata_url": "http://keys.example"}, "metadata_url"),
        ({"jwks_uri": "ftp://keys.example"}, "jwks_uri"),
        ({"audience": ""}, "audience is empty"),
        ({"audience": "  "}, "audience is empty"),
        ({"profile": "entra"}, "profile"),
        ({"algorithms": ("HS256",)}, "HS256"),
        ({"algorithms": ("RS256", "none")}, "none"),
        ({"algorithms": ()}, "algorithms"),
        ({"tenant_allow_list": ("t",), "profile": "jwt"}, "tenant_allow_list"),
        ({"tenant_allow_list": ("contoso",)}, "no tenant's GUID"),
        ({"issuers": ("https://{tenantid}.example/v2.0",), "metadata_url": None}, "every tenant"),
        ({"client_names_audience": True}, "client_allow_list"),
        ({"client_names_audience": True, "profile": "jwt"}, "client_allow_list"),
        ({"introspection_url": "https://as.example/i", **ASKING}, "profile rfc9068 or jwt"),
        ({"introspection_url": "http://as.example/i", "profile": "jwt", **ASKING}, "may not be asked"),
        ({"introspection_url": "https://as.example/i", "profile": "jwt"}, "introspection_client_id"),
        (
            {"introspection_client_secret_file": "/nowhere/s", "introspection_url": "https://as.example/i"}
            | {"profile": "jwt", **ASKING},
            "introspection_client_secret_file",
        ),
        ({"resource": "http://api.example"}, "resource identifier"),
        ({"resource": "https://api.example/?x"}, "resource identifier"),
        ({"roles_claim": ""}, "roles_claim"),
        ({"leeway_seconds": 301}, "leeway_seconds"),
        ({"leeway_seconds": -1}, "leeway_seconds"),
        ({"port": 70_000}, "port"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"database_url": "sqlite+aiosqlite://"}, "no file"),
        ({"database_url": "mysql://u:s3cret@db/x"}, "mysql"),
        ({"database_url": "postgresql://u:s3cret@db"}, "no database"),
        ({"database_url": "postgresql://u:s3cret@db/x?sslrootcert=/ca.pem"}, "asks for sslrootcert"),
        ({"database_url": "postgresql://u:s3cret@db/x?sslmode=on"}, "another sslmode"),
        ({"database_url": "not a url"}, "no database URL"),
        ({"database_url": "sqlite+aiosqlite:////nowhere/at/all.sqlite"}, "folder"),
        ({"database_url_file": "/nowhere/url"}, "database_url_file"),
        ({"client_allowlist": ("a",)}, "did you mean client_allow_list"),
    ],
)
def test_a_setting_that_cannot_work(values: dict[str, Any], named: str) -> None:
    """Each is named, with its cure and without any secret."""
    causes = causes_of(**values)
    assert named in causes[0]
    assert "Cure:" in causes[0]
    assert len(causes) == 1
    assert "s3cret" not in "".join(causes)


@pytest.mark.req("P-01")
def test_all_faults_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start names every fault: of a field, between fields, and of a variable that nobody reads."""
    monkeypatch.setenv("RESOURCE_API_CLIENT_ALLOWLIST", "a")
    causes = causes_of(port="x", audience="", profile="jwt", tenant_allow_list=("t",), unknown=1)
    text = "\n".join(causes)
    for named in ("RESOURCE_API_CLIENT_ALLOW_LIST", "port", "audience", "tenant_allow_list", "unknown"):
        assert named in text
    assert len(causes) == 5


@pytest.mark.req("ATK-59")
def test_a_database_password_is_never_shown(tmp_path: Path) -> None:
    """The URL of the database may come from a file, and is in no repr."""
    path = tmp_path / "url"
    path.write_text("sqlite+aiosqlite:////tmp/s3cret.sqlite\n")
    settings = ResourceAPISettings(issuers=(ISSUER,), audience="a", database_url_file=path)
    assert settings.database() == "sqlite+aiosqlite:////tmp/s3cret.sqlite"
    shown = ResourceAPISettings(issuers=(ISSUER,), audience="a", database_url=SecretStr(settings.database()))
    assert "s3cret" not in repr(shown)


@pytest.mark.req("ATK-59", "RS-8")
def test_the_introspection_secret_is_never_shown(tmp_path: Path) -> None:
    """It may come from a file, and is in no repr, neither of the settings nor of what they make."""
    (tmp_path / "secret").write_text("s3cret\n")
    given: dict[str, Any] = {"issuers": (ISSUER,), "audience": "a", "profile": "jwt"}
    given |= {"introspection_url": "https://as.example/i", "introspection_client_id": "api"}
    for secret in (
        {"introspection_client_secret_file": tmp_path / "secret"},
        {"introspection_client_secret": SecretStr("s3cret")},
    ):
        settings = ResourceAPISettings(**given, **secret)
        made = settings.introspection()
        assert made is not None
        assert made.client_secret == "s3cret"
        assert "s3cret" not in repr(settings) + repr(made)


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_start_that_is_refused(tmp_path: Path, command: str) -> None:
    """The command prints every cause, one a line, and ends with 2; no traceback."""
    answer = CliRunner().invoke(main, [command, "--config", str(written(tmp_path, "foo = 1", "leeway_seconds = 999"))])
    assert answer.exit_code == 2
    assert answer.output.count("  - ") == 2
    assert "Traceback" not in answer.output


@pytest.mark.parametrize("content", ["= nonsense", "issuers = ["])
def test_a_file_that_is_no_toml(tmp_path: Path, content: str) -> None:
    """A file that cannot be read is one cause."""
    path = tmp_path / "resource_api.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="no TOML"):
        load_settings(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A named file that is missing is not passed over."""
    with pytest.raises(ConfigurationError, match="is not there"):
        load_settings(tmp_path / "absent.toml")


def test_migrate_makes_the_database(tmp_path: Path) -> None:
    """The one-shot job makes the schema and says from where to where; run again it changes nothing."""
    path = tmp_path / "resource_api.toml"
    path.write_text(GOOD.replace("todos.sqlite", f"/{tmp_path}/made.sqlite"))
    for told in ("went from nothing to schema version 0002", "has schema version 0002 already"):
        answer = CliRunner().invoke(main, ["migrate", "--config", str(path)])
        assert (answer.exit_code, answer.output) == (0, f"The database {told}.\n")
    assert (tmp_path / "made.sqlite").stat().st_size > 0


def test_migrate_says_what_is_wrong(tmp_path: Path) -> None:
    """A file that is no database is said with its cure."""
    (tmp_path / "not.sqlite").write_bytes(b"something else altogether" * 100)
    path = tmp_path / "resource_api.toml"
    path.write_text(GOOD.replace("todos.sqlite", f"/{tmp_path}/not.sqlite"))
    answer = CliRunner().invoke(main, ["migrate", "--config", str(path)])
    assert (answer.exit_code, "Cure: check database_url" in answer.output) == (2, True)


def test_the_command_knows_itself() -> None:
    """``python -m`` free: the console script's target says what it offers."""
    program = "from resource_api.cli import main; main(['--help'])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"serve", "migrate"} <= set(run.stdout.split())
