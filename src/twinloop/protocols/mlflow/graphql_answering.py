"""Executes GraphQL queries, outside the event loop: what they find is asked of the endpoints of the REST interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from graphql import GraphQLError, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, execute_sync, validate
from graphql.validation import recommended_rules, specified_rules

from twinloop.core.errors import TwinloopError
from twinloop.protocols.mlflow import graphql_schema
from twinloop.protocols.mlflow.graphql_limits import BoundedExecutor, Budget, read_document

Json = dict[str, Any]
Ask = Callable[[str, bytes, float], Json]
"""Asks the endpoint of a name with a body, and waits at most so many seconds; raises TwinloopError or TimeoutError."""

_RULES = (*specified_rules, *recommended_rules)
_MOST_ERRORS = 20


class _Context(NamedTuple):
    """What the resolvers of one query share; the same is asked once."""

    ask: Ask
    budget: Budget
    known: dict[tuple[str, bytes], Json]

    def find(self, endpoint: str, given: Mapping[str, Any]) -> Json:
        """The answer of an endpoint. Raises GraphQLError."""
        body = json.dumps(given).encode()
        found = self.known.get((endpoint, body))
        if found is None:
            self.budget.lookup()
            try:
                found = self.known[endpoint, body] = self.ask(endpoint, body, self.budget.left_s)
            except TimeoutError:
                self.budget.late()
            except TwinloopError as error:
                raise GraphQLError(error.message) from error
        return found


def answer(ask: Ask, text: str, variables: Json | None, operation: str | None) -> Json:
    """Execute a query; what is wrong with it stands in the answer's ``errors``, as messages."""
    try:
        document = read_document(text)
        wrong = validate(_schema(), document, _RULES, _MOST_ERRORS)
    except GraphQLError as error:
        wrong = [error]
    if wrong:
        return _said(None, wrong)
    done = execute_sync(
        _schema(),
        document,
        context_value=_Context(ask, Budget(), {}),
        variable_values=variables,
        operation_name=operation,
        field_resolver=graphql_schema.read_field,
        executor_class=BoundedExecutor,
    )
    return _said(done.data, done.errors)


def _said(data: Json | None, errors: list[GraphQLError] | None) -> Json:
    return {"data": data, "errors": [error.message for error in errors] if errors else None}


@cache
def _schema() -> GraphQLSchema:
    schema = graphql_schema.build()
    for type_name, resolvers in _RESOLVERS.items():
        type = schema.type_map[type_name]
        assert isinstance(type, GraphQLObjectType)
        for name, resolve in resolvers.items():
            type.fields[name].resolve = resolve
    return schema


def _root(endpoint: str) -> Callable[..., Json]:
    def resolve(_: None, info: GraphQLResolveInfo[Any], input: Json | None = None) -> Json:
        given = {graphql_schema.snake(name): value for name, value in (input or {}).items()}
        return info.context.find(endpoint, given)  # type: ignore[no-any-return]

    return resolve


def _echo(_: None, info: GraphQLResolveInfo[Any], inputString: str | None = None) -> Json:
    return {"output": inputString}


def _experiment_of(run: Json, info: GraphQLResolveInfo[Any]) -> Json:
    found = info.context.find("experiments/get", {"experiment_id": run["info"]["experiment_id"]})
    return found["experiment"]  # type: ignore[no-any-return]


def _versions_of(run: Json, info: GraphQLResolveInfo[Any]) -> list[Json]:
    found = info.context.find("model-versions/search", {"filter": f"run_id='{run['info']['run_id']}'"})
    return found.get("model_versions", [])  # type: ignore[no-any-return]


_RESOLVERS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "Query": {
        "mlflowGetExperiment": _root("experiments/get"),
        "mlflowGetMetricHistoryBulkInterval": _root("metrics/get-history-bulk-interval"),
        "mlflowGetRun": _root("runs/get"),
        "mlflowListArtifacts": _root("artifacts/list"),
        "mlflowSearchModelVersions": _root("model-versions/search"),
        "mlflowSearchRuns": _root("runs/search"),
        "test": _echo,
    },
    "Mutation": {
        "mlflowSearchDatasets": _root("experiments/search-datasets"),
        "mlflowSearchRuns": _root("runs/search"),
        "testMutation": _echo,
    },
    "MlflowRunExtension": {"experiment": _experiment_of, "modelVersions": _versions_of},
}
