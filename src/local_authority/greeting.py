"""What is printed at the start: what this is, where it is, and who can sign in."""

from __future__ import annotations

from pathlib import Path

from local_authority.clients.registrations import Client
from local_authority.routes.dependencies import Services
from local_authority.seeds import BFF_CLIENT_ID, DAEMON_CLIENT_ID, PEOPLE

WARNING = "Local authority - for development only; binds loopback only. Whoever reads this can sign in."


def greeting(services: Services) -> str:
    """Several lines; passwords and secrets of the seeds only, a configured team's own are its own."""
    options = services.options
    lines = [
        WARNING,
        f"  issuer    {options.issuer_identifier}",
        f"  metadata  {options.metadata_url}",
        f"  kept in   {options.data or 'memory (gone at the end)'}",
        *_people(services),
        *_clients(services),
    ]
    return "\n".join(lines)


def _people(services: Services) -> list[str]:
    """The seeded people who are there with their seeded password."""
    seeded = [person for person in PEOPLE if services.people.find(person.oid) is not None]
    if services.options.config is not None and not seeded:
        return [f"  people    those of {services.options.config}"]
    return [f"  person    {person.email}   password {person.password}   ({person.name})" for person in seeded]


def _clients(services: Services) -> list[str]:
    known = [services.registry.clients.get(client_id) for client_id in (BFF_CLIENT_ID, DAEMON_CLIENT_ID)]
    return [f"  client    {c.client_id}   {c.name}   {_secret(services, c)}" for c in known if c is not None]


def _secret(services: Services, client: Client) -> str:
    """Where the BFF's secret is, for programs to read; the daemon's itself, for a person's terminal."""
    file = _bff_secret_file(services)
    if client.client_id == BFF_CLIENT_ID and file is not None:
        return f"secret in {file}"
    return f"secret {client.secret}"


def _bff_secret_file(services: Services) -> Path | None:
    options = services.options
    return options.client_secret_file or (options.data / "bff-client-secret" if options.data else None)
