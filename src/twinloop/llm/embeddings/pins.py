"""The pins of a release, checked by role and kind; shared by the endpoint types of this lane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from twinloop.control.registry.model import Revision
from twinloop.core.errors import InvalidInput


def check_pins(
    type_name: str, pins: Mapping[str, Revision], roles: Sequence[str], optional: Iterable[str] = ()
) -> None:
    """Each role takes a revision of the kind with the same name.

    Raises:
        InvalidInput: a role is missing or unknown, or holds another kind.
    """
    allowed = {*roles, *optional}
    missing = [role for role in roles if role not in pins]
    unknown = sorted(set(pins) - allowed)
    if missing or unknown:
        wrong = f"lacks {', '.join(missing)}" if missing else f"has no use for {', '.join(unknown)}"
        raise InvalidInput(f"This {type_name} release {wrong}. It pins {', '.join(roles)}{_and(optional)}.")
    for role, revision in pins.items():
        if revision.kind != role:
            raise InvalidInput(
                f"The role {role} of a {type_name} release takes a revision {role}/…, not {revision.ref}."
            )


def _and(optional: Iterable[str]) -> str:
    names = ", ".join(optional)
    return f" and, if wanted, {names}" if names else ""
