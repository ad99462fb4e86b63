"""What the preparation ends with: the two services' settings, with paths to secrets and never a secret."""

from __future__ import annotations

from pathlib import Path

from deploy.entra.preparation import Preparation
from deploy.entra.wanted import READ, READ_WRITE


def write_settings(preparation: Preparation, folder: Path) -> list[Path]:
    """Write ``bff.toml`` and ``resource_api.toml``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / "bff.toml": bff_toml(preparation), folder / "resource_api.toml": api_toml(preparation)}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def bff_toml(preparation: Preparation) -> str:
    """The BFF's settings: `docs/settings.md` explains every key."""
    api, client = preparation.api.app_id, preparation.client
    kept = preparation.kept(client)
    ends = "" if kept is None else f"  # ends on {kept.ends:%Y-%m-%d}; run apply again before that day"
    if preparation.certificate:
        folder = preparation.certificate_folder(client)
        proof = f'private_key_file = "{folder}/private-key.pem"\ncertificate_file = "{folder}/certificate.pem"{ends}'
    else:
        proof = f'client_secret_file = "{preparation.secret_path(client)}"{ends}'
    scopes = ["openid", "profile", "offline_access", f"api://{api}/{READ}", f"api://{api}/{READ_WRITE}"]
    return f"""\
public_url = "{preparation.wanted.public_url}"

[authority]
profile = "entra-external-id"
tenant_subdomain = "{preparation.subdomain}"
tenant_id = "{preparation.tenant_id}"
client_id = "{client.app_id}"
{proof}
scopes = [
{chr(10).join(f'    "{scope}",' for scope in scopes)}
]

[session]
keys_file = "{preparation.folder}/keys.json"  # make it once: bff keys new --file {preparation.folder}/keys.json
ledger = "file:{preparation.folder}/ledger.sqlite"

[[route]]
path = "/api/"
upstream = "http://127.0.0.1:3001"
methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
"""


def api_toml(preparation: Preparation) -> str:
    """The resource API's settings: the issuer lives on the tenant's GUID host, its metadata on the subdomain."""
    tenant, subdomain = preparation.tenant_id, preparation.subdomain
    return f"""\
profile = "entra-v2"
issuers = ["https://{tenant}.ciamlogin.com/{tenant}/v2.0"]
metadata_url = "https://{subdomain}.ciamlogin.com/{tenant}/v2.0/.well-known/openid-configuration"
audience = "{preparation.api.app_id}"
tenant_allow_list = ["{tenant}"]
"""
