"""What a GraphQL query may ask at most: in text, in selections, in fields of the answer and in time.

Depth, roots, aliases and selections are bounded as in MLflow. The rest is ours: a short query can ask for very much.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental

DEPTH = 10
SELECTIONS = 1000
ROOTS = 10
ALIASES = 10
_CHARACTERS = 100_000
_TOKENS = 10_000
_LOOKUPS = 2_000
_FIELDS = 1_000_000
_SECONDS = 30.0
_LOOK_AT_CLOCK = 1_000

Fragments = Mapping[str, FragmentDefinitionNode]


class TooMuch(GraphQLError):
    """A query whose answer is longer than anybody may ask for; nothing of it is answered."""


class Budget:
    """What one query may still use up."""

    def __init__(self) -> None:
        self._fields = 0
        self._lookups = 0
        self._end = time.monotonic() + _SECONDS

    @property
    def left_s(self) -> float:
        """Seconds that are left. Raises TooMuch when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            self.late()
        return left

    def late(self) -> NoReturn:
        raise TooMuch(f"The query takes longer than {_SECONDS:.0f} seconds. Ask for fewer things at once.")

    def field(self) -> None:
        """One field of the answer. Raises TooMuch."""
        self._fields += 1
        if self._fields > _FIELDS:
            raise TooMuch(f"The answer would have more than {_FIELDS} fields. Ask for fewer things at once.")
        if self._fields % _LOOK_AT_CLOCK == 0:
            _ = self.left_s

    def lookup(self) -> None:
        """One request to the rest of the server. Raises TooMuch."""
        self._lookups += 1
        if self._lookups > _LOOKUPS:
            raise TooMuch(f"The query needs more than {_LOOKUPS} searches. Ask for fewer things at once.")


class BoundedExecutor(ExecutorThrowingOnIncremental):
    """Executes within the ``Budget`` of its context; one that is used up ends the whole query and not one field of it."""

    def execute_field(self, *args: Any, **kwargs: Any) -> Any:
        self.context_value.budget.field()
        return super().execute_field(*args, **kwargs)

    def handle_field_error(self, raw_error: Exception, *args: Any, **kwargs: Any) -> None:
        if isinstance(raw_error, TooMuch):
            raise raw_error
        super().handle_field_error(raw_error, *args, **kwargs)


def read_document(text: str) -> DocumentNode:
    """Parse a query. Raises GraphQLError, also when it is over a limit."""
    document = parse(text, max_lexical_tokens=_TOKENS, max_comments=_TOKENS, max_source_length=_CHARACTERS)
    _check_written(document)
    roots, aliases = 0, 0
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            more, most = _measure(definition, document)
            roots, aliases = roots + more, max(aliases, most)
    for what, found, limit in (("root fields", roots, ROOTS), ("aliases", aliases, ALIASES)):
        if found > limit:
            raise GraphQLError(
                f"GraphQL queries should have at most {limit} {what}, got {found} {what}. Ask in several requests."
            )
    return document


def _measure(operation: OperationDefinitionNode, document: DocumentNode) -> tuple[int, int]:
    """Roots of an operation, and the most aliases that one level of it has, fragments counted where they are used."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    roots = aliases = total = 0
    waiting = [(operation.selection_set, 1)]
    while waiting:
        selections, depth = waiting.pop()
        if depth > DEPTH:
            raise GraphQLError(f"Query exceeds maximum depth of {DEPTH}")
        mine = 0
        for field in _fields(selections, fragments):
            total += 1
            if total > SELECTIONS:
                _refuse_selections()
            mine += field.alias is not None
            roots += depth == 1
            if field.selection_set is not None:
                waiting.append((field.selection_set, depth + 1))
        aliases = max(aliases, mine)
    return roots, aliases


def _fields(selections: SelectionSetNode, fragments: Fragments) -> Iterator[FieldNode]:
    """The fields of one level, those of fragments among them; a fragment counts once."""
    waiting, seen = [selections], set[str]()
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in fragments and name not in seen:
                    seen.add(name)
                    waiting.append(fragments[name].selection_set)
            else:
                waiting.append(selection.selection_set)  # type: ignore[attr-defined]


def _check_written(document: DocumentNode) -> None:
    """As many selections may be written as executed: a fragment that nobody uses is validated too."""
    written = 0
    waiting = [one.selection_set for one in document.definitions if hasattr(one, "selection_set")]
    while waiting:
        for selection in waiting.pop().selections:
            written += 1
            if written > SELECTIONS:
                _refuse_selections()
            inner = getattr(selection, "selection_set", None)
            if inner is not None:
                waiting.append(inner)


def _refuse_selections() -> NoReturn:
    raise GraphQLError(f"Query exceeds maximum total selections of {SELECTIONS}")
