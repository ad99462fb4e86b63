"""Who is measured, each with its configuration: the same upstream, the same person, one process, a real sign-in."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_authority import seeds
from tests.benchmarks.programs import HOME, NODE, ROOT, environment, envoy, find

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What all subjects share: the upstream, the authorization server, and one client's registration at it."""

    folder: Path
    upstream: int
    authority: int
    client_secret: str

    @property
    def tenant(self) -> str:
        return f"http://127.0.0.1:{self.authority}/{seeds.TENANT_ID}"

    @property
    def scope(self) -> str:
        return f"openid profile offline_access {seeds.READ_SCOPE} {seeds.READ_WRITE_SCOPE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server: how it is started, where a sign-in begins, and which path leads to the upstream."""

    name: str
    command: list[str]
    origin: str
    login: str | None
    env: Mapping[str, str] | None = None


Maker = Callable[[Town, int], Subject | None]


def redirect_uris(ports: Mapping[str, int]) -> list[str]:
    """Where the authorization server may send a person back to, for all subjects but ours."""
    return [f"http://127.0.0.1:{port}/callback" for name, port in ports.items() if name != "ours"]


def ours(town: Town, port: int) -> Subject:
    """This project as an operator serves it: sealed cookies, a ledger in a file, every check and every metric."""
    folder = town.folder / "ours"
    folder.mkdir(exist_ok=True)
    (folder / "secret").write_text(town.client_secret, encoding="utf-8")
    if not (folder / "keys.json").exists():
        subprocess.run([BIN / "bff", "keys", "new", "--file", folder / "keys.json"], check=True, capture_output=True)
    (folder / "bff.toml").write_text(
        f"""public_url = "http://localhost:{port}"
[server]
port = {port}
[authority]
issuer = "{town.tenant}/v2.0"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{folder}/secret"
scopes = {json.dumps(town.scope.split())}
[session]
keys_file = "{folder}/keys.json"
ledger = "file:{folder}/ledger.sqlite"
[relay]
max_connections = 2048
concurrency_per_session = 1024
[[route]]
path = "/api/"
upstream = "http://127.0.0.1:{town.upstream}"
max_body = 20000000
""",
        encoding="utf-8",
    )
    command = [str(BIN / "bff"), "serve", "--config", str(folder / "bff.toml"), "--port", str(port)]
    return Subject(name="ours", command=command, origin=f"http://localhost:{port}", login="/bff/login")


def nginx(town: Town, port: int) -> Subject | None:
    """No sessions, no tokens: the floor of what relaying costs."""
    program = find("nginx")
    if program is None:
        return None
    config = town.folder / "floor.conf"
    config.write_text(
        nginx_config(
            town.folder / "floor",
            f"upstream api {{ server 127.0.0.1:{town.upstream}; keepalive 64; }}\n"
            f"server {{ listen 127.0.0.1:{port} backlog=1024;\n"
            'location / { proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }\n}',
        ),
        encoding="utf-8",
    )
    command = [program, "-c", str(config), "-p", str(town.folder)]
    return Subject(name="nginx", command=command, origin=f"http://127.0.0.1:{port}", login=None, env=environment())


def nginx_config(folder: Path, http: str) -> str:
    """One worker, no logs, everything temporary below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    return (
        f"daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 65s;\n{places}{http}\n}}\n"
    )


def node_peer(name: str, mode: str) -> Maker:
    """Express with express-session in memory; behind it axios, or http-proxy-middleware."""

    def make(town: Town, port: int) -> Subject | None:
        node = shutil.which("node")
        if node is None or not (NODE / "node_modules").exists():
            return None
        given = {
            "mode": mode,
            "port": port,
            "upstream": f"http://127.0.0.1:{town.upstream}",
            "authorize": f"{town.tenant}/oauth2/v2.0/authorize",
            "token": f"{town.tenant}/oauth2/v2.0/token",
            "clientId": seeds.BFF_CLIENT_ID,
            "clientSecret": town.client_secret,
            "scope": town.scope,
        }
        command = [node, str(NODE / "peer.mjs"), json.dumps(given)]
        env = {**environment(), "NODE_ENV": "production"}
        return Subject(name=name, command=command, origin=f"http://127.0.0.1:{port}", login="/login", env=env)

    return make


def envoy_oauth2(town: Town, port: int) -> Subject | None:
    """Envoy's OAuth2 filter: tokens in encrypted cookies, as ours."""
    program = envoy()
    if program is None:
        return None
    folder = town.folder / "envoy"
    folder.mkdir(exist_ok=True)
    for name, value in (("token", town.client_secret), ("hmac", secrets.token_hex(32))):
        resource: dict[str, object] = {"@type": f"{_ENVOY}.transport_sockets.tls.v3.Secret", "name": name}
        resource["generic_secret"] = {"secret": {"inline_string": value}}
        (folder / f"{name}.yaml").write_text(json.dumps({"resources": [resource]}), encoding="utf-8")
    (folder / "envoy.yaml").write_text(json.dumps(_envoy_config(town, port, folder)), encoding="utf-8")
    command = [program, "-c", str(folder / "envoy.yaml"), "--concurrency", "1", "--log-level", "warn"]
    return Subject(name="envoy", command=command, origin=f"http://127.0.0.1:{port}", login="/api/small")


_ENVOY = "type.googleapis.com/envoy.extensions"


def _envoy_config(town: Town, port: int, folder: Path) -> dict[str, object]:
    def cluster(name: str, to: int) -> dict[str, object]:
        endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": to}}}}
        assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
        return {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": assignment}

    def secret(name: str) -> dict[str, object]:
        return {"name": name, "sds_config": {"path_config_source": {"path": str(folder / f"{name}.yaml")}}}

    oauth2 = {
        "token_endpoint": {"cluster": "op", "uri": f"{town.tenant}/oauth2/v2.0/token", "timeout": "3s"},
        "authorization_endpoint": f"{town.tenant}/oauth2/v2.0/authorize",
        "redirect_uri": f"http://127.0.0.1:{port}/callback",
        "redirect_path_matcher": {"path": {"exact": "/callback"}},
        "signout_path": {"path": {"exact": "/signout"}},
        "forward_bearer_token": True,
        "use_refresh_token": True,
        "auth_scopes": town.scope.split(),
        "auth_type": "BASIC_AUTH",
        "credentials": {
            "client_id": seeds.BFF_CLIENT_ID,
            "token_secret": secret("token"),
            "hmac_secret": secret("hmac"),
        },
    }
    filters = [
        {
            "name": "envoy.filters.http.oauth2",
            "typed_config": {"@type": f"{_ENVOY}.filters.http.oauth2.v3.OAuth2", "config": oauth2},
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{_ENVOY}.filters.http.router.v3.Router"},
        },
    ]
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "api"}}]
    manager = {
        "@type": f"{_ENVOY}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h",
        "codec_type": "AUTO",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {
        "name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [chain],
    }
    return {
        "node": {"id": "bench", "cluster": "bench"},
        "static_resources": {
            "listeners": [listener],
            "clusters": [cluster("op", town.authority), cluster("api", town.upstream)],
        },
    }


_MODULES = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_openidc")


def mod_auth_openidc(town: Town, port: int) -> Subject | None:
    """Apache with mod_auth_openidc, the session in a cookie as ours; one process with threads."""
    program, modules = find("apache2"), ROOT / "usr/lib/apache2/modules"
    if program is None or not (modules / "mod_auth_openidc.so").exists():
        return None
    folder = town.folder / "apache"
    folder.mkdir(exist_ok=True)
    loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in _MODULES)
    (folder / "apache.conf").write_text(
        f"""ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
Mutex file:{folder} default
{loaded}
Listen 127.0.0.1:{port}
ServerLimit 1
ThreadsPerChild 64
ThreadLimit 64
MaxRequestWorkers 64
KeepAlive On
MaxKeepAliveRequests 0
MaxConnectionsPerChild 0
OIDCProviderMetadataURL {town.tenant}/v2.0/.well-known/openid-configuration
OIDCClientID {seeds.BFF_CLIENT_ID}
OIDCClientSecret {town.client_secret}
OIDCRedirectURI http://127.0.0.1:{port}/callback
OIDCCryptoPassphrase {secrets.token_hex(32)}
OIDCScope "{town.scope}"
OIDCPKCEMethod S256
OIDCSessionType client-cookie
OIDCSessionCacheFallbackToCookie On
OIDCUserInfoRefreshInterval 0
<Location />
  AuthType openid-connect
  Require valid-user
  RequestHeader set Authorization "Bearer %{{OIDC_access_token}}e"
  RequestHeader unset Cookie
</Location>
ProxyPass /api/ http://127.0.0.1:{town.upstream}/api/ keepalive=On
""",
        encoding="utf-8",
    )
    command = [program, "-f", str(folder / "apache.conf"), "-DFOREGROUND"]
    origin = f"http://127.0.0.1:{port}"
    return Subject(name="mod_auth_openidc", command=command, origin=origin, login="/api/small", env=environment())


MAKERS: dict[str, Maker] = {
    "ours": ours,
    "envoy": envoy_oauth2,
    "seed": node_peer("seed", "axios"),
    "express-proxy": node_peer("express-proxy", "proxy"),
    "mod_auth_openidc": mod_auth_openidc,
    "nginx": nginx,
}

__all__ = ["HOME", "MAKERS", "Subject", "Town", "nginx_config", "redirect_uris"]
