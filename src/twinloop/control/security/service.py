"""Verbs of security: make, list and revoke keys; tell who a request comes from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from twinloop.control.security import repository
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.security.repository import Key
from twinloop.control.store.ports import Store
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import NotFound, Refused, Unauthenticated
from twinloop.core.ids import check_name, new_id

_PREFIX = "tl-"


class NewKey(NamedTuple):
    """A key just made; ``secret`` is shown this once and kept nowhere."""

    key: Key
    secret: str


class Keys:
    """Keys in memory, so that a request is authenticated without touching the store.

    Secrets have 256 random bits, so a plain SHA-256 of them is enough: there is nothing to guess.
    """

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._principals: dict[str, Principal] = {}

    async def load(self) -> None:
        self._principals = await self._store.read(repository.active)

    @property
    def any(self) -> bool:
        return bool(self._principals)

    async def create(self, who: Principal, name: str, role: Role) -> NewKey:
        who.require(Role.admin)
        check_name(name, "key name")
        if role != Role.admin and not any(key.role == Role.admin for key in await self._in_force(who)):
            raise Refused("The first key must be an admin's, or nobody could make another. Use the role admin.")
        secret = _PREFIX + secrets.token_urlsafe(32)
        key = Key(new_id(), who.tenant, name, role, self._clock.now_ns(), who.name, None)
        await self._store.write(lambda c: repository.add(c, key, _hash(secret)))
        await self.load()
        return NewKey(key, secret)

    async def keys(self, who: Principal) -> list[Key]:
        who.require(Role.admin)
        return await self._store.read(lambda c: repository.listing(c, who.tenant))

    async def revoke(self, who: Principal, key_id: str) -> None:
        who.require(Role.admin)
        others = [key for key in await self._in_force(who) if key.id != key_id]
        if others and not any(key.role == Role.admin for key in others):
            raise Refused("This is the last admin key and others are in force. Make another admin key first.")
        at = self._clock.now_ns()
        if not await self._store.write(lambda c: repository.revoke(c, who.tenant, key_id, at)):
            raise NotFound(f"There is no key {key_id[:64]} in force. List them with: twinloop keys list")
        await self.load()

    async def _in_force(self, who: Principal) -> list[Key]:
        return [key for key in await self.keys(who) if key.revoked_ns is None]

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The principal of a request, by its bearer token or basic password.

        Without any key in force this is the local admin: a server then only listens on loopback.

        Raises:
            Unauthenticated: keys are in force and the request carries none of them.
        """
        if not self._principals:
            return LOCAL_ADMIN
        secret = _secret(headers.get("authorization", ""))
        principal = self._principals.get(_hash(secret)) if secret else None
        if principal is None:
            what = "an unknown or revoked key" if secret else "no key"
            raise Unauthenticated(f"The request carries {what}. Send the header: Authorization: Bearer <key>")
        return principal


def _secret(header: str) -> str:
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unauthenticated(
                "The Authorization header is not valid Basic authentication. Send a bearer key."
            ) from error
    return ""


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
