"""Steps, pipelines, and the graph that calling steps inside a pipeline function builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.pipelines.values import plain
from twinloop.core.ids import check_name

P = ParamSpec("P")
R = TypeVar("R")

_building: ContextVar[Graph | None] = ContextVar("twinloop_building", default=None)


class Step(Generic[P, R]):
    """A function that a pipeline can record. Called inside a pipeline it becomes a node, called elsewhere it just runs.

    ``cache=False`` runs it in every run; ``retries`` is how often a failed attempt is tried again; ``timeout_s`` bounds
    one attempt in seconds.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        cache: bool = True,
        retries: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        self.function = function
        self.name = check_name(name or function.__name__, "step name")
        if retries < 0 or (timeout_s is not None and timeout_s <= 0):
            raise DefinitionError(f"Step {self.name}: retries must be 0 or more and timeout_s above 0.")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise DefinitionError(
                f"Step {self.name} is async or a generator. Write it as a function that returns a value."
            )
        self.cache = cache
        self.retries = retries
        self.timeout_s = timeout_s
        self.signature = inspect.signature(function)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        graph = _building.get()
        if graph is None:
            return self.function(*args, **kwargs)
        return cast(R, graph.add(self, args, kwargs))

    def __repr__(self) -> str:
        return f"<step {self.name}>"


class Pipeline(Generic[P, R]):
    """A function whose step calls make a graph. Called, it runs the steps one after another and records nothing;
    ``client.pipelines.run(pipeline, ...)`` runs it durably."""

    def __init__(self, function: Callable[P, R], *, name: str | None = None) -> None:
        self.function = function
        self.name = check_name(name or function.__name__, "pipeline name")
        self.signature = inspect.signature(function)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters with defaults filled in. Raises DefinitionError when one is missing or unknown."""
        try:
            bound = self.signature.bind(**given)
        except TypeError as error:
            wanted = ", ".join(self.signature.parameters) or "none"
            raise DefinitionError(f"Pipeline {self.name}: {error}. Its parameters are: {wanted}.") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def graph(self, given: Mapping[str, Any]) -> Graph:
        """Call the function once, running no step, and return the graph its step calls make."""
        graph = Graph(self.name)
        token = _building.set(graph)
        try:
            graph.result = self.function(**self.parameters(given))  # type: ignore[call-arg]
        finally:
            _building.reset(token)
        if not graph.nodes:
            raise DefinitionError(f"Pipeline {self.name} calls no step. Decorate the functions it calls with @tl.step.")
        return graph

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"


class Node:
    """One call of a step in a graph. ``inputs`` maps parameter names to JSON in which an :class:`Output` may stand."""

    __slots__ = ("id", "inputs", "needs", "step")

    def __init__(self, id: str, step: Step[..., Any], inputs: dict[str, Any]) -> None:
        self.id = id
        self.step = step
        self.inputs = inputs
        self.needs = tuple(dict.fromkeys(output.node for output in outputs_in(inputs)))


class Graph:
    """The nodes of one pipeline call, each after those it needs, and what the pipeline function returned."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.result: Any = None
        self._calls: dict[str, int] = {}

    def add(self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Output:
        try:
            bound = step.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise DefinitionError(f"Step {step.name}: {error}.") from None
        bound.apply_defaults()
        count = self._calls[step.name] = self._calls.get(step.name, 0) + 1
        id = step.name if count == 1 else f"{step.name}.{count}"
        node = Node(id, step, plain(dict(bound.arguments), f"The input of step {id}", leave=Output))
        if node.id in self.nodes:
            raise DefinitionError(f"Two steps are called {node.id}. Give one another name: @tl.step(name=...).")
        self.nodes[node.id] = node
        return Output(node.id)


class Output:
    """What a node will return, known when it has run. ``output["key"]`` and ``output[0]`` pick a part of it."""

    __slots__ = ("node", "path")

    def __init__(self, node: str, path: tuple[str | int, ...] = ()) -> None:
        self.node = node
        self.path = path

    def __getitem__(self, key: str | int) -> Output:
        if not isinstance(key, str | int):
            raise DefinitionError(f"Pick a part of the output of {self.node} with a text key or a number.")
        return Output(self.node, (*self.path, key))

    def pick(self, value: Any) -> Any:
        """The part of the node's finished ``value`` that this output stands for."""
        for key in self.path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise DefinitionError(
                    f"Step {self.node} returned nothing under {key!r}: it returned {value!r:.120}. "
                    "Return a map with that key."
                ) from None
        return value

    def _unknown(self, *_: object) -> NoReturn:
        raise DefinitionError(
            f"The output of step {self.node} is not known while the pipeline is being built. Pass it to another step "
            "and look at it there."
        )

    def __iter__(self) -> Iterator[Any]:
        self._unknown()

    __bool__ = __len__ = __int__ = __float__ = __str__ = __format__ = _unknown
    __add__ = __radd__ = __sub__ = __mul__ = __truediv__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = _unknown

    def __repr__(self) -> str:
        return f"<output of {self.node}>"


def outputs_in(value: Any) -> Iterator[Output]:
    """Every output that stands in ``value``, a nest of maps, lists and tuples."""
    if isinstance(value, Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from outputs_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from outputs_in(item)


def fill(value: Any, finished: Mapping[str, Any]) -> Any:
    """``value`` with every output replaced by what its node returned; tuples become lists, as in JSON."""
    if isinstance(value, Output):
        return value.pick(finished[value.node])
    if isinstance(value, Mapping):
        return {key: fill(item, finished) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, finished) for item in value]
    return value
