"""Everything Twinloop raises, as a tree ordered by what a caller would catch.

A message is one or two sentences: what happened, then what to do. Errors carry a stable ``code`` and no HTTP status;
each protocol maps the class to its own form.

    TwinloopError
    ├── InvalidInput            the caller's data is wrong: mend it and send again
    │   └── PayloadTooLarge     … because it is too big
    ├── NotFound                the thing named does not exist
    ├── Conflict                it exists already, or somebody else holds it
    │   └── HomeHeld            another process holds this home
    ├── Refused                 a rule said no: gate, policy, state
    │   └── GateFailed          the evidence does not allow this release
    ├── Unauthenticated         no or unknown key
    ├── Forbidden               the principal may not do this
    ├── NotOffered              a request for something Twinloop does not do (yet)
    ├── Unavailable             try again: starting, overloaded, engine down
    │   └── DeadlineExceeded    … or it took too long
    ├── UpstreamError           a provider or engine answered with an error
    └── InstallationError       the machine, not the request, must be mended
        ├── MissingDependency   an optional package is not installed
        ├── InvalidSettings     a setting has a bad value
        ├── StorageFull         no space left where the home lies
        ├── StorageUnreadable   the home cannot be read or written
        └── StorageCorrupt      the database or a blob is damaged
"""

from __future__ import annotations

from typing import ClassVar


class TwinloopError(Exception):
    """Base of all errors raised on purpose; ``str(error)`` is safe to show to the caller."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(TwinloopError):
    code = "invalid_input"


class PayloadTooLarge(InvalidInput):
    code = "payload_too_large"


class NotFound(TwinloopError):
    code = "not_found"


class Conflict(TwinloopError):
    code = "conflict"


class HomeHeld(Conflict):
    code = "home_held"


class Refused(TwinloopError):
    code = "refused"


class GateFailed(Refused):
    code = "gate_failed"


class Unauthenticated(TwinloopError):
    code = "unauthenticated"


class Forbidden(TwinloopError):
    code = "forbidden"


class NotOffered(TwinloopError):
    code = "not_offered"


class Unavailable(TwinloopError):
    code = "unavailable"


class DeadlineExceeded(Unavailable):
    code = "deadline_exceeded"


class UpstreamError(TwinloopError):
    code = "upstream_error"


class InstallationError(TwinloopError):
    code = "installation"


class MissingDependency(InstallationError):
    """An optional package is not installed; names the extra that brings it."""

    code = "missing_dependency"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"The package {package} is not installed. Run: pip install 'twinloop[{extra}]'")
        self.package = package
        self.extra = extra


class InvalidSettings(InstallationError):
    code = "invalid_settings"


class StorageFull(InstallationError):
    code = "storage_full"


class StorageUnreadable(InstallationError):
    code = "storage_unreadable"


class StorageCorrupt(InstallationError):
    code = "storage_corrupt"
