"""One of MLflow's endpoints, as an area of the protocol offers it."""

from __future__ import annotations

from typing import NamedTuple

from twinloop.protocols.http import BODY_LIMIT, Handler

_API = "/api/"


class Endpoint(NamedTuple):
    """``path`` is written as MLflow documents it, ``/api/2.0/mlflow/runs/create``. ``limit`` bounds its body in bytes.

    A ``public`` endpoint asks for no key.
    """

    method: str
    path: str
    handler: Handler
    limit: int = BODY_LIMIT
    public: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """The path and its twin for browsers."""
        return (self.path, "/ajax-api/" + self.path.removeprefix(_API)) if self.path.startswith(_API) else (self.path,)
