"""Principals and roles."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from twinloop.core.errors import Forbidden

DEFAULT_TENANT = "default"


class Role(IntEnum):
    """What a principal may do; each role includes the ones before it."""

    nobody = 0
    viewer = 1
    developer = 2
    releaser = 3
    admin = 4


class Principal(msgspec.Struct, frozen=True):
    """Who asks, and for whom data is kept apart."""

    name: str
    tenant: str
    role: Role

    def require(self, role: Role) -> None:
        """Raise Forbidden unless this principal has ``role`` or a stronger one."""
        if self.role < role:
            raise Forbidden(
                f"{self.name} is a {self.role.name} and this needs the role {role.name}. Ask an admin for a key with it."
            )


LOCAL_ADMIN = Principal(name="local", tenant=DEFAULT_TENANT, role=Role.admin)
"""The principal of a loopback server without keys, and of embedded use."""
