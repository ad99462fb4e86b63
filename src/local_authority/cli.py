"""The command ``local-authority``: options in, one server on the loopback out."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from pathlib import Path

import click
import uvicorn
from fastapi import FastAPI

from local_authority.app import create_app
from local_authority.errors import ConfigurationError
from local_authority.greeting import greeting
from local_authority.options import Lifetimes, Options, Shape
from local_authority.seeds import TENANT_ID

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", help="The loopback address to listen on.")
@click.option("--port", default=3002, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--base-url", help="The endpoints' scheme, host and port.  [default: http://HOST:PORT]")
@click.option("--issuer", help="The issuer identifier.  [default: BASE_URL/TENANT_ID/v2.0]")
@click.option(
    "--metadata-host", help="Serve the metadata under this host name only, as Entra names its issuer on another."
)
@click.option("--tenant-id", default=TENANT_ID, help="The tenant's GUID.")
@click.option("--shape", default="full", type=click.Choice(["full", "entra"]), help="What is advertised.")
@click.option("--data", type=FOLDER, help="Keep people, keys and grants in this folder.  [default: in memory]")
@click.option("--config", type=FILE, help="Your own APIs, clients and people (TOML).")
@click.option("--bff-url", default="http://localhost:3000", help="Where the built-in client, the BFF, is.")
@click.option(
    "--client-redirect", "client_redirects", multiple=True, help="A further redirect URI of the BFF. Repeatable."
)
@click.option(
    "--client-secret-file", type=FILE, help="The BFF's secret, made if missing.  [default: DATA/bff-client-secret]"
)
@click.option("--client-certificate-file", type=FILE, help="The BFF's certificate or public key, for private_key_jwt.")
@click.option("--access-token-seconds", default=Lifetimes().access_token, help="60 lets you watch a refresh.")
@click.option("--id-token-seconds", default=Lifetimes().id_token)
@click.option("--refresh-token-seconds", default=Lifetimes().refresh_token)
@click.option("--session-seconds", default=Lifetimes().session, help="The sign-in session's life after its last use.")
def main(  # noqa: PLR0913 — one parameter per option is how click hands them over
    *,
    host: str,
    port: int,
    base_url: str | None,
    issuer: str | None,
    metadata_host: str | None,
    tenant_id: str,
    shape: Shape,
    data: Path | None,
    config: Path | None,
    bff_url: str,
    client_redirects: tuple[str, ...],
    client_secret_file: Path | None,
    client_certificate_file: Path | None,
    access_token_seconds: int,
    id_token_seconds: int,
    refresh_token_seconds: int,
    session_seconds: int,
) -> None:
    """An authorization server for development, shaped like Entra External ID. It binds the loopback only."""
    options = Options(
        host=host,
        port=port,
        base_url=base_url,
        issuer=issuer,
        metadata_host=metadata_host,
        tenant_id=tenant_id,
        shape=shape,
        data=data,
        config=config,
        bff_url=bff_url,
        client_redirects=client_redirects,
        client_secret_file=client_secret_file,
        client_certificate_file=client_certificate_file,
        lifetimes=Lifetimes(
            access_token=access_token_seconds,
            id_token=id_token_seconds,
            refresh_token=refresh_token_seconds,
            session=session_seconds,
        ),
    )
    _serve(options)


def _serve(options: Options) -> None:
    """Bind first: a taken port is said before anything is made, and port 0 is known to the issuer."""
    try:
        options.check()
        listener = _listen(options)
        options = replace(options, port=listener.getsockname()[1])
        app = create_app(options)
    except ConfigurationError as error:
        raise click.ClickException("\n".join(error.causes)) from error
    click.echo(greeting(app.state.services))
    _run(app, listener)


def _run(app: FastAPI, listener: socket.socket) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_level="warning", server_header=False, access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(options: Options) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        cause = (
            f"--port {options.port}: cannot be bound ({error.strerror}); stop what listens there, or choose another."
        )
        raise ConfigurationError([cause]) from error
    return listener
