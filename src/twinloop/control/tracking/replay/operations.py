"""What a client writes down while it tracks a run, one value a call; a journal of them is replayed in order, each once.

The same structs are encoded by the SDK and decoded by the server. As JSON each is an object whose ``do`` names it.
Times are milliseconds since the Unix epoch, taken where and when the call was made.
"""

from __future__ import annotations

from typing import Literal

import msgspec

RunEnd = Literal["FINISHED", "FAILED", "KILLED"]

Point = tuple[str, float | None, int]
"""Key, value (None is NaN) and step."""


class _Operation(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="do"):
    run: str
    """Id of the run, 32 hex digits, made by the client."""


class Start(_Operation, frozen=True, tag="start"):
    """Make the run unless it is there. With ``resume`` one that is there runs again; without, it is left as it is.

    A resumption holds against what other journals say of an earlier time, whenever those arrive.
    """

    at: int
    experiment: str = "Default"
    name: str | None = None
    user: str | None = None
    parent: str | None = None
    within: str | None = None
    """Id of the pipeline run in which it happens."""
    tags: dict[str, str] = {}
    resume: bool = False
    joined: bool = False
    """Another journal began the run and ends it."""


class Log(_Operation, frozen=True, tag="log"):
    """Points of metrics, all of one moment."""

    at: int
    points: list[Point]
    model: str | None = None
    """Id of the logged model that was measured, if one was."""
    dataset: tuple[str, str] | None = None
    """Name and digest of the dataset it was measured on."""


class Params(_Operation, frozen=True, tag="params"):
    params: dict[str, str]


class Tags(_Operation, frozen=True, tag="tags"):
    """``None`` takes a tag away."""

    tags: dict[str, str | None]


class Use(_Operation, frozen=True, tag="use"):
    """The run read the revision ``ref``. A reference without a number means what it means when it is replayed."""

    role: str
    ref: str


class Read(_Operation, frozen=True, tag="read"):
    """The run read data that is no revision: rows in memory, a file, a table elsewhere."""

    role: str
    name: str
    digest: str
    source_type: str = "local"
    source: str = "{}"
    schema: str | None = None
    profile: str | None = None


class Produce(_Operation, frozen=True, tag="produce"):
    """The revision ``ref`` came out of the run."""

    ref: str


class Model(_Operation, frozen=True, tag="model"):
    """The run logs a model: ``model`` is its id, made by the client. Its files come as artifacts."""

    at: int
    model: str
    name: str
    type: str | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class ModelChange(_Operation, frozen=True, tag="model_change"):
    """More of a logged model; ``step`` says at which step of its training the run made it."""

    at: int
    model: str
    status: Literal["READY", "FAILED"] | None = None
    params: dict[str, str] = {}
    tags: dict[str, str | None] = {}
    step: int | None = None


class Artifact(_Operation, frozen=True, tag="artifact"):
    """A file at ``path`` below the artifacts of the run, or of the logged ``model``; its bytes are stored under ``digest``.

    In a journal ``file`` names the copy that waits in the spool, and ``digest`` and ``size`` are not known yet.
    """

    path: str
    digest: str = ""
    size: int = 0
    file: str = ""
    model: str | None = None


class Finish(_Operation, frozen=True, tag="finish"):
    """The run has ended, unless another journal resumed it after ``at``: then an earlier program ended, and not the run."""

    at: int
    status: RunEnd = "FINISHED"


class Damaged(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="do", tag="damaged"):
    """Stands where a journal could not be read, so that what follows keeps its place."""

    run: str = ""
    why: str = ""


Operation = Start | Log | Params | Tags | Use | Read | Produce | Model | ModelChange | Artifact | Finish | Damaged

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Operation).decode
