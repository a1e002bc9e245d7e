"""Steps called inside a pipeline become a graph."""

from __future__ import annotations

from typing import Any

import pytest

from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.pipelines.graph import fill
from twinloop.sdk.definitions import pipeline, step


@step
def load(month: int) -> dict[str, Any]:
    return {"rows": month * 10, "ref": f"dataset/flights@{month}"}


@step
def total(parts: list[int], extra: dict[str, Any] | None = None) -> int:
    return sum(parts)


@pipeline
def monthly(first: int = 1) -> int:
    months = [load(first), load(first + 1)]
    return total([month["rows"] for month in months], {"deep": [months[0]]})


def test_a_pipeline_called_plainly_just_runs() -> None:
    assert monthly(2) == 50


def test_outputs_nested_in_arguments_are_needs() -> None:
    graph = monthly.graph({"first": 3})
    assert list(graph.nodes) == ["load", "load.2", "total"]
    assert graph.nodes["total"].needs == ("load", "load.2")
    assert graph.nodes["load.2"].inputs == {"month": 4}


def test_a_part_of_an_output_is_picked_when_it_is_known() -> None:
    graph = monthly.graph({})
    finished = {"load": {"rows": 7}, "load.2": {"rows": 8}, "total": 15}
    assert fill(graph.nodes["total"].inputs["parts"], finished) == [7, 8]
    assert fill(graph.result, finished) == 15


def test_looking_at_an_output_while_building_is_refused() -> None:
    @pipeline
    def curious() -> int:
        return 1 if load(1) else 2

    with pytest.raises(DefinitionError, match="output of step load is not known"):
        curious.graph({})


def test_formatting_an_output_into_text_is_refused() -> None:
    @pipeline
    def formats() -> Any:
        return load(f"{load(1)}")  # type: ignore[arg-type]

    with pytest.raises(DefinitionError, match="Pass it to another step"):
        formats.graph({})


def test_an_unknown_parameter_is_named_with_those_there_are() -> None:
    with pytest.raises(DefinitionError, match="Its parameters are: first"):
        monthly.graph({"last": 3})


def test_an_argument_that_is_not_json_is_refused_when_the_graph_is_built() -> None:
    @pipeline
    def wrong() -> Any:
        return total([object()])  # type: ignore[list-item]

    with pytest.raises(DefinitionError, match="only JSON passes between steps"):
        wrong.graph({})


def test_a_pipeline_without_steps_is_refused() -> None:
    @pipeline
    def empty() -> None:
        return None

    with pytest.raises(DefinitionError, match="calls no step"):
        empty.graph({})


def test_an_async_step_is_refused() -> None:
    async def later() -> int:
        return 1

    with pytest.raises(DefinitionError, match="is async or a generator"):
        step(later)
