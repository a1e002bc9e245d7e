"""What a project's Python files say: steps, pipelines, and declarations of what should exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, ParamSpec, TypeVar, overload

import msgspec

from twinloop.control.evaluation.model import Condition
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.pipelines.graph import Pipeline, Step
from twinloop.control.releases.answers import EndpointKind
from twinloop.control.releases.model import Stage
from twinloop.core.errors import Refused
from twinloop.core.ids import check_name
from twinloop.sdk.tracking.context import innermost

if TYPE_CHECKING:
    from twinloop.sdk.client import Client

__all__ = [
    "Condition",
    "Corpus",
    "Dataset",
    "Declaration",
    "Embedder",
    "Endpoint",
    "Generator",
    "Pipeline",
    "Prompt",
    "Step",
    "current",
    "current_run_id",
    "pipeline",
    "running",
    "step",
]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *, name: str | None = None, cache: bool = True, retries: int = 0, timeout_s: float | None = None
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    cache: bool = True,
    retries: int = 0,
    timeout_s: float | None = None,
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step of pipelines: recorded as it runs, resumed after a crash, skipped when nothing changed.

    What it takes and returns is JSON: numbers, text, lists, maps, revision references such as ``dataset/flights@3``.
    ``cache=False`` runs it in every run. ``retries`` tries a failed attempt again that often. ``timeout_s`` bounds one
    attempt; an attempt that is over its time is given up, not killed.
    """

    def decorate(target: Callable[P, R]) -> Step[P, R]:
        return Step(target, name=name, cache=cache, retries=retries, timeout_s=timeout_s)

    return decorate if function is None else decorate(function)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, name: str | None = None) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Callable[P, R] | None = None, /, *, name: str | None = None
) -> Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]:
    """Make a function a pipeline: the steps it calls become a graph. Run it with ``client.pipelines.run``."""

    def decorate(target: Callable[P, R]) -> Pipeline[P, R]:
        return Pipeline(target, name=name)

    return decorate if function is None else decorate(function)


class Running(NamedTuple):
    """The step being run in this context."""

    client: Client
    run_id: str
    node: str


_running: ContextVar[Running | None] = ContextVar("twinloop_running", default=None)


def current() -> Client:
    """The client of the pipeline run whose step is running here. Raises Refused outside a step."""
    running_here = _running.get()
    if running_here is None:
        raise Refused("tl.current() was called outside a running step. Use a client there.")
    return running_here.client


def current_run_id() -> str | None:
    """The id of the run that what is made here comes out of: the open ``tl.run``, else the pipeline run of the step."""
    tracked = innermost()
    return step_run_id() if tracked is None else tracked.id


def step_run_id() -> str | None:
    """The id of the pipeline run whose step is running here; None outside a step."""
    running_here = _running.get()
    return None if running_here is None else running_here.run_id


@contextmanager
def running(client: Client, run_id: str, node: str) -> Iterator[None]:
    """Make ``client`` and ``run_id`` the current ones inside the block (this thread or task)."""
    token = _running.set(Running(client, run_id, node))
    try:
        yield
    finally:
        _running.reset(token)


class Declaration(msgspec.Struct, frozen=True):
    """Something a project wants to exist under ``kind/name``; ``twinloop apply`` makes it so."""

    kind: ClassVar[str] = ""

    name: str

    @property
    def ref(self) -> str:
        """``kind/name``, which means its newest revision; use it to pin what is declared."""
        return f"{self.kind}/{self.name}"

    def __post_init__(self) -> None:
        check_name(self.name, f"{self.kind} name")


class Dataset(Declaration, frozen=True):
    """A table: a file, relative to the project folder, or a URL; ``apply`` takes a snapshot when its bytes changed.

    Its ending says what it is: .parquet, .csv, .csv.gz or .csv.zip. ``time_column`` says when each row happened.
    """

    kind: ClassVar[str] = "dataset"

    path: str | None = None
    url: str | None = None
    time_column: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.path is None) == (self.url is None):
            raise DefinitionError(f"Dataset {self.name}: give either path or url.")


class Corpus(Declaration, frozen=True):
    """The documents of a folder, relative to the project folder; each file becomes ``document/<name>/<path in it>``."""

    kind: ClassVar[str] = "document"

    folder: str


class Prompt(Declaration, frozen=True):
    """What a chat endpoint says to its generator.

    ``template`` places ``{context}`` and ``{question}``; ``retrieval`` may set k and min_score; ``options`` may set
    max_tokens, temperature and seed; ``decline`` is the answer when the documents say nothing.
    """

    kind: ClassVar[str] = "prompt"

    system: str
    template: str | None = None
    retrieval: dict[str, Any] = {}
    options: dict[str, Any] = {}
    decline: str | None = None

    def manifest(self) -> dict[str, Any]:
        """The manifest of its revision, with every default written out. Raises DefinitionError naming a wrong field."""
        from twinloop.llm.prompts.model import Prompt as Manifest

        given = {field: getattr(self, field) for field in ("system", "template", "retrieval", "options", "decline")}
        try:
            made = msgspec.convert({field: value for field, value in given.items() if value is not None}, Manifest)
        except msgspec.ValidationError as error:
            raise DefinitionError(f"Prompt {self.name}: {error}.") from None
        made.check()
        return made.to_json()


class Generator(Declaration, frozen=True):
    """An engine that writes text: ``weights`` from the catalog, run here; or ``model`` at ``url`` (OpenAI-compatible).

    ``secret`` is the name under which the server keeps the key, never the key. ``settings`` are further fields of the
    engine, such as context and slots.
    """

    kind: ClassVar[str] = "generator"

    weights: str | None = None
    url: str | None = None
    model: str | None = None
    secret: str | None = None
    settings: dict[str, Any] = {}

    def manifest(self) -> dict[str, Any]:
        return _engine(self, "llamacpp")


class Embedder(Declaration, frozen=True):
    """An engine that turns text into vectors; fields as for a Generator. At a ``url``, settings need dimensions."""

    kind: ClassVar[str] = "embedder"

    weights: str | None = None
    url: str | None = None
    model: str | None = None
    secret: str | None = None
    settings: dict[str, Any] = {}

    def manifest(self) -> dict[str, Any]:
        return _engine(self, "minilm-onnx")


class Endpoint(Declaration, frozen=True):
    """How an endpoint is released: its type, the revision each role takes, and the gate a release must pass.

    ``pins`` maps the type's roles to references; without a number the newest at the time of a release is taken.
    """

    kind: ClassVar[str] = "endpoint"

    type: EndpointKind
    pins: dict[str, str]
    gate: tuple[Condition, ...] | list[Condition] = ()
    stage: Stage = "live"
    weight: float = 0.1

    def manifest(self) -> dict[str, Any]:
        fields = ("type", "pins", "gate", "stage", "weight")
        return {field: msgspec.to_builtins(getattr(self, field)) for field in fields}


def _engine(declared: Generator | Embedder, local: str) -> dict[str, Any]:
    what = f"{declared.kind.capitalize()} {declared.name}"
    if declared.weights is not None and declared.url is None and declared.model is None and declared.secret is None:
        return {"engine": local, "weights": declared.weights, **declared.settings}
    if declared.weights is not None or declared.url is None or declared.model is None:
        raise DefinitionError(f"{what}: give weights for an engine that runs here, or url and model for another's.")
    secret = {} if declared.secret is None else {"secret": declared.secret}
    return {"engine": "openai", "url": declared.url, "model": declared.model, **secret, **declared.settings}
