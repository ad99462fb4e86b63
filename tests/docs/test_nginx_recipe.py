"""deploy/nginx/bff.conf does what the rules ask of a proxy, and nginx takes it where there is one."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bff.session.probe import MOST
from tests.benchmarks import programs

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy/nginx/bff.conf"
TEXT = RECIPE.read_text(encoding="utf-8")


def said(directive: str) -> list[str]:
    """What the recipe says of a directive."""
    return re.findall(rf"^\s*{directive}\s+([^;]+);", TEXT, re.MULTILINE)


def kilobytes(size: str) -> int:
    """``32k`` in bytes."""
    return int(size.removesuffix("k")) * 1024


@pytest.mark.req("F5", "F21")
def test_uploads_do_not_wait_and_cookies_have_room_both_ways() -> None:
    """What makes a generation old, or a session unusable, at nginx's defaults."""
    assert said("proxy_request_buffering") == ["off"]
    assert said("proxy_buffering") == ["off"]
    (answers,), (requests,) = said("proxy_buffer_size"), said("large_client_header_buffers")
    assert kilobytes(answers) > MOST
    assert kilobytes(requests.split()[1]) > MOST


@pytest.mark.req("F27", "F39")
def test_what_the_bff_decides_is_not_decided_before_it() -> None:
    """Its name, its limits, its streams and what may be sent again are its own."""
    assert "Host $http_host" in said("proxy_set_header")
    assert "X-Forwarded-For $remote_addr" in said("proxy_set_header"), "not appended to what the browser claims"
    assert said("proxy_http_version") == ["1.1"]
    assert {"Upgrade $http_upgrade", "Connection $bff_connection"} <= set(said("proxy_set_header"))
    assert said("client_max_body_size") == ["0"]
    assert said("proxy_next_upstream") == ["off"]


def test_the_documents_name_it() -> None:
    """Whoever is told of a default is told where the cure is."""
    for page in ("check", "operating", "sessions"):
        assert "deploy/nginx/bff.conf" in (ROOT / f"docs/{page}.md").read_text(encoding="utf-8"), page


def test_nginx_takes_it_where_there_is_one(tmp_path: Path) -> None:
    """With a certificate in its place; where the machine has no nginx, the recipe is at least whole."""
    assert TEXT.count("{") == TEXT.count("}")
    nginx = programs.find("nginx")
    if nginx is None:
        return
    for name, content in zip(("crt", "key"), a_certificate(), strict=True):
        (tmp_path / name).write_bytes(content)
    recipe = re.sub(r"/etc/nginx/tls/app\.example\.", f"{tmp_path}/", TEXT)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{recipe}}}\n"
    (tmp_path / "nginx.conf").write_text(config, encoding="utf-8")
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, env=programs.environment(), capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr


def a_certificate() -> tuple[bytes, bytes]:
    """Of a name that nobody has, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app.example")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return made.sign(key, hashes.SHA256()).public_bytes(pem), private
