"""The people who can sign in: their records, their passwords (scrypt, RFC 7914) and the forms' rules."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from local_authority.attempts import Attempts
from local_authority.errors import FormRefused
from local_authority.secret_values import new_id, new_secret
from local_authority.store import Store

EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]+\.[^@\s.\x00-\x1f]+")
LONGEST_EMAIL: Final = 254
LONGEST_NAME: Final = 100
SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 256
SCRYPT_MEMORY: Final = 2**26

WRONG_EMAIL: Final = "Enter an email address, like name@example.com."
WRONG_PASSWORD: Final = "The email or the password is not right."  # noqa: S105 — a message, no secret


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One person. ``claims`` go into ID tokens as they are; ``roles`` are app roles a person was assigned (K-10)."""

    oid: str
    email: str
    name: str
    password: str
    login_hint: str
    roles: list[str] = []
    claims: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Person(oid={self.oid!r})"


class EmailAddress(msgspec.Struct, frozen=True):
    """Whose address it is, by its folded spelling: two people never share one."""

    oid: str


class People:
    """``cost`` is scrypt's N. Passwords are derived on a thread, so that no other request waits for one."""

    def __init__(self, store: Store, attempts: Attempts, *, cost: int) -> None:
        self._store = store
        self._attempts = attempts
        self._cost = cost

    def find(self, oid: str) -> Person | None:
        """The person with this object id."""
        return self._store.get(Person, oid)

    def find_hint(self, hint: str) -> Person | None:
        """The person whom a ``login_hint`` names: an email address, or the claim of that name in an ID token."""
        address = self._store.get(EmailAddress, fold(hint))
        if address is not None:
            return self.find(address.oid)
        return next((person for person in self._store.every(Person) if person.login_hint == hint), None)

    async def sign_in(self, email: str, password: str) -> Person:
        """The person with this email and password; FormRefused otherwise, in the same words and time for both.

        TooManyAttempts after ten failures in five minutes, before the password is looked at.
        """
        if not EMAIL.fullmatch(email.strip()) or not password:
            raise FormRefused(_sign_in_faults(email, password))
        self._attempts.begin(fold(email))
        address = self._store.get(EmailAddress, fold(email))
        person = None if address is None else self.find(address.oid)
        if not await self._matches(password, person) or person is None:
            raise FormRefused({"form": WRONG_PASSWORD})
        self._attempts.succeeded(fold(email))
        return person

    async def sign_up(self, email: str, name: str, password: str) -> Person:
        """A new person; FormRefused with every fault at once, a taken email included."""
        faults = _sign_up_faults(email, name, password)
        if "email" not in faults and self._store.get(EmailAddress, fold(email)) is not None:
            faults["email"] = "An account with this email exists. Sign in instead."
        if faults:
            raise FormRefused(faults)
        hashed = await asyncio.to_thread(hash_password, password, self._cost)
        person = Person(oid=new_id(), email=email.strip(), name=name.strip(), password=hashed, login_hint=new_secret())
        with self._store.together():
            if not self._store.add(fold(email), EmailAddress(person.oid)):
                raise FormRefused({"email": "An account with this email exists. Sign in instead."})
            self._store.put(person.oid, person)
        return person

    def seed(self, people: Iterable[Person]) -> None:
        """Keep these people in place of any with the same email or object id; everybody else stays."""
        with self._store.together():
            for person in people:
                self._forget(person)
                self._store.put(fold(person.email), EmailAddress(person.oid))
                self._store.put(person.oid, person)

    def _forget(self, person: Person) -> None:
        address = self._store.get(EmailAddress, fold(person.email))
        for oid in {person.oid, address.oid if address else person.oid}:
            before = self.find(oid)
            if before is not None:
                self._store.drop(EmailAddress, fold(before.email))
                self._store.drop(Person, oid)

    async def _matches(self, password: str, person: Person | None) -> bool:
        """An unknown email costs the time of a wrong password."""
        stored = person.password if person else _nobody(self._cost)
        return await asyncio.to_thread(verify_password, password, stored)


def fold(email: str) -> str:
    """The spelling under which email addresses are compared: without case."""
    return unicodedata.normalize("NFKC", email.strip()).casefold()


def hash_password(password: str, cost: int) -> str:
    """``scrypt$N$salt$hash`` with a fresh salt."""
    salt = secrets.token_bytes(16)
    return f"scrypt${cost}${b64encode(salt).decode()}${b64encode(_derive(password, salt, cost)).decode()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that ``stored`` was made of."""
    _, cost, salt, expected = stored.split("$")
    return hmac.compare_digest(_derive(password, b64decode(salt), int(cost)), b64decode(expected))


def _derive(password: str, salt: bytes, cost: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=cost, r=8, p=1, maxmem=SCRYPT_MEMORY)


def _nobody(cost: int) -> str:
    return f"scrypt${cost}${b64encode(bytes(16)).decode()}${b64encode(bytes(64)).decode()}"


def _sign_in_faults(email: str, password: str) -> dict[str, str]:
    faults = {} if EMAIL.fullmatch(email.strip()) else {"email": WRONG_EMAIL}
    return faults if password else {**faults, "password": "Enter your password."}


def _sign_up_faults(email: str, name: str, password: str) -> dict[str, str]:
    faults: dict[str, str] = {}
    if len(email.strip()) > LONGEST_EMAIL or not EMAIL.fullmatch(email.strip()):
        faults["email"] = WRONG_EMAIL
    if not 0 < len(name.strip()) <= LONGEST_NAME or not name.strip().isprintable():
        faults["name"] = f"Enter a name of at most {LONGEST_NAME} characters."
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        faults["password"] = f"Choose a password of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
    return faults
