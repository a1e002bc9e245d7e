"""What a source of an import holds, in MLflow's terms. Times are milliseconds since the Unix epoch unless named ``_ns``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec


class FoundExperiment(msgspec.Struct, frozen=True):
    id: str
    name: str
    lifecycle: str
    location: str
    created_ms: int
    updated_ms: int
    tags: dict[str, str] = {}


class FoundInput(msgspec.Struct, frozen=True):
    """A dataset that a run read."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = {}


class FoundRun(msgspec.Struct, frozen=True):
    """A run as the source lists it. ``last`` are its metrics' last points, (key, value, time, step), of which only the
    keys are relied on; ``outputs`` are (logged model, step) it made and ``read_models`` those it used."""

    id: str
    experiment_id: str
    name: str
    user: str
    status: str
    started_ms: int
    ended_ms: int | None
    lifecycle: str
    deleted_ms: int | None
    location: str
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    last: tuple[tuple[str, float | None, int, int], ...] = ()
    inputs: tuple[FoundInput, ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()
    read_models: tuple[str, ...] = ()


class Points(msgspec.Struct, frozen=True):
    """A part of one series, by time, step and value (NaN, written None, counts as 0 and comes after a true 0)."""

    key: str
    at_ms: list[int]
    step: list[int]
    value: list[float | None]


class FoundModelMetric(msgspec.Struct, frozen=True):
    """A point that was logged about a logged model, in some run, perhaps on some dataset."""

    key: str
    value: float | None
    at_ms: int
    step: int
    run_id: str | None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class FoundLoggedModel(msgspec.Struct, frozen=True):
    id: str
    experiment_id: str
    name: str
    location: str
    created_ms: int
    updated_ms: int
    status: str
    model_type: str | None
    run_id: str | None
    status_message: str | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple[FoundModelMetric, ...] = ()


class FoundVersion(msgspec.Struct, frozen=True):
    """One version of a registered model. Of a ``deleted`` one the source only says that there was one."""

    name: str
    number: int
    created_ms: int
    updated_ms: int
    description: str | None
    user: str | None
    stage: str
    source: str
    run_id: str | None
    status: str
    status_message: str | None = None
    run_link: str | None = None
    tags: dict[str, str] = {}
    deleted: bool = False


class FoundModel(msgspec.Struct, frozen=True):
    """A registered model or prompt, with its aliases by name."""

    name: str
    description: str | None
    created_ms: int
    updated_ms: int
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}


class FoundSpan(msgspec.Struct, frozen=True):
    """Ids are lower-case hex; attribute values are JSON. ``links`` are (trace, span, attributes)."""

    id: str
    parent_id: str | None
    name: str
    start_ns: int
    end_ns: int | None
    status: str
    message: str
    attributes: dict[str, Any]
    events: tuple[tuple[str, int, dict[str, Any]], ...] = ()
    links: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    kind: str = "internal"


class FoundAssessment(msgspec.Struct, frozen=True):
    """What somebody said of a trace. ``kind`` is feedback, expectation or issue; ``value`` is JSON."""

    id: str
    name: str
    kind: str
    value: Any
    error: dict[str, Any] | None
    rationale: str | None
    source_type: str
    source_id: str | None
    span_id: str | None
    run_id: str | None
    overrides: str | None
    valid: bool
    metadata: dict[str, str]
    created_ms: int
    updated_ms: int


class FoundTrace(msgspec.Struct, frozen=True):
    """``spans`` is None where they lie among the trace's files, at ``location``, in ``traces.json``.

    ``runs`` are those it was linked to, as far as the source tells.
    """

    id: str
    experiment_id: str
    started_ms: int
    duration_ms: int | None
    state: str
    client_request_id: str | None
    request_preview: str | None
    response_preview: str | None
    location: str
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: tuple[FoundAssessment, ...] = ()
    spans: tuple[FoundSpan, ...] | None = None
    runs: tuple[str, ...] = ()


class FoundFile(msgspec.Struct, frozen=True):
    """A file below some place; ``path`` is relative to it. ``refused`` says why it cannot be taken."""

    path: str
    size: int
    refused: str | None = None


Owner = Literal["run", "logged_model", "trace"]

Refused = tuple[str, str, str]
"""Something that is not copied: what it is, its id, and why."""


class Source(Protocol):
    """Where an import comes from. Everything is read in parts, in an order that newcomers do not disturb."""

    @property
    def origin(self) -> str:
        """What to call it; no password in it."""
        ...

    @property
    def left_out(self) -> dict[str, int]:
        """What it holds and this import does not copy, by name, as far as that is known."""
        ...

    @property
    def refused(self) -> list[Refused]:
        """What could not be read so far. The reader takes out what it has reported."""
        ...

    def experiments(self) -> Iterator[FoundExperiment]: ...

    def runs(self, experiment_id: str) -> Iterator[list[FoundRun]]:
        """Pages of runs, deleted ones too."""
        ...

    def points(self, runs: Sequence[FoundRun]) -> Iterator[tuple[str, Points]]:
        """All points of all series of some runs: (run, a part of a series), a series' parts one after the other."""
        ...

    def logged_models(self, experiment_id: str) -> Iterator[list[FoundLoggedModel]]: ...

    def models(self) -> Iterator[FoundModel]: ...

    def versions(self, name: str) -> Iterator[FoundVersion]:
        """By number."""
        ...

    def traces(self, experiment_id: str) -> Iterator[list[FoundTrace]]: ...

    def with_files(self, owner: Owner, places: Mapping[str, str]) -> set[str]:
        """Which of these (locations by id) may have files; the others have none now."""
        ...

    def files(self, owner: Owner, id: str, location: str) -> Iterator[FoundFile]:
        """Every file of a run, logged model or trace. Raises SourceUnreadable when they cannot be reached."""
        ...

    def read(self, owner: Owner, id: str, location: str, file: FoundFile) -> Iterator[bytes]:
        """The bytes of one. Raises SourceUnreadable when there are more or fewer than it is listed with."""
        ...

    def close(self) -> None: ...
