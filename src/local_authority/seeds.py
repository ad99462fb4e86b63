"""Who and what is known without a configuration: one tenant, one API, the BFF, a daemon and two people.

The identifiers are fixed, so that a configuration written once keeps working. The clients' secrets are not: they are
made on each machine. The people's passwords are for this laptop, and printed at the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

TENANT_ID: Final = "7c1f9d3e-52a8-4b6e-9e0d-3f4a8b2c6d15"
API_CLIENT_ID: Final = "b0a4c7d2-1e5f-4f83-8a69-d27e90c3b514"
BFF_CLIENT_ID: Final = "2d9e6b1a-c384-47f5-b02d-6a1f58e7c903"
DAEMON_CLIENT_ID: Final = "e58c3f70-9b2d-4d16-a7f4-0c9d1e2b3a46"

READ: Final = "ToDoList.Read"
READ_WRITE: Final = "ToDoList.ReadWrite"
READ_ALL: Final = "ToDoList.Read.All"
READ_WRITE_ALL: Final = "ToDoList.ReadWrite.All"
READ_SCOPE: Final = f"api://{API_CLIENT_ID}/{READ}"
READ_WRITE_SCOPE: Final = f"api://{API_CLIENT_ID}/{READ_WRITE}"
DEFAULT_SCOPE: Final = f"api://{API_CLIENT_ID}/.default"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededPerson:
    """A person who can sign in from the first start on."""

    oid: str
    email: str
    name: str
    password: str = field(repr=False)


ADA: Final = SeededPerson(
    oid="4f6a2c8e-7b15-4d90-8c3e-a95d1f072b61",
    email="ada@example.com",
    name="Ada Lovelace",
    password="engine-of-note-g",  # noqa: S106 — printed at every start, worth nothing beyond this laptop
)
GRACE: Final = SeededPerson(
    oid="91d3b7f4-0e62-4a58-b7c9-5e8f2a6d4c10",
    email="grace@example.com",
    name="Grace Hopper",
    password="a-moth-in-relay-70",  # noqa: S106 — printed at every start, worth nothing beyond this laptop
)
PEOPLE: Final = (ADA, GRACE)
