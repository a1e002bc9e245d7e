"""What tracing needs from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from twinloop.control.security.model import Principal
from twinloop.control.tracing.model import DEFAULT_EXPERIMENT, Trace
from twinloop.core.errors import NotFound


class Experiment(Protocol):
    """What tracing knows of an experiment. ``artifact_location`` is the URI under which its files lie."""

    @property
    def lifecycle(self) -> str: ...

    @property
    def artifact_location(self) -> str: ...


class Experiments(Protocol):
    """Where the experiments are that traces belong to."""

    async def get(self, who: Principal, id: str) -> Experiment:
        """Raises NotFound."""
        ...


class DefaultExperiment(NamedTuple):
    lifecycle: str = "active"
    artifact_location: str = "mlflow-artifacts:/0"


class OnlyDefault:
    """Experiments where nothing else keeps any: there is the default one alone."""

    async def get(self, who: Principal, id: str) -> Experiment:
        if id != str(DEFAULT_EXPERIMENT):
            raise NotFound(f"No Experiment with id={id[:60]} exists. Send traces to experiment {DEFAULT_EXPERIMENT}.")
        return DefaultExperiment()


class LinkWriter(Protocol):
    """Writes the lineage of traces in the transaction that writes the traces."""

    def __call__(self, connection: Connection, tenant: str, traces: Sequence[Trace]) -> None: ...


class Spool(Protocol):
    """Somewhere to put batches that the store cannot take now, kept in order until it can."""

    def append(self, batch: bytes) -> None:
        """Keep one batch durably. Raises OSError when it cannot."""
        ...

    def drain(self) -> list[bytes]:
        """All batches kept, oldest first."""
        ...

    def clear(self) -> None:
        """Forget what ``drain`` returned, after it was written."""
        ...
