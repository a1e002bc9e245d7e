"""Which steps need not run: those this run has finished before, and those unchanged since an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from twinloop.control.pipelines.graph import Node
from twinloop.control.pipelines.model import Begun, PipelineRun, Result, StepChange
from twinloop.control.pipelines.ports import StepLog
from twinloop.control.pipelines.values import is_fixed, references_in, step_key


class Key(NamedTuple):
    """A step's key, and the digests of the revisions among its inputs."""

    text: str
    consumed: tuple[str, ...]


class Known:
    """Finds results without asking the log, as far as what it told at the beginning goes."""

    def __init__(self, log: StepLog, codes: Mapping[str, str], begun: Begun, run: PipelineRun) -> None:
        self._log = log
        self._codes = codes
        self._complete = begun.complete
        self._results = {result.key: result for result in begun.results}
        self._digests: dict[str, str | None] = dict(begun.digests)
        self._earlier = {step.node: (step.key, step.output) for step in run.steps if step.state == "finished"}

    def add_earlier(self, change: StepChange) -> bool:
        """Take in a step that the journal says is finished; False when the log knew."""
        if change.node in self._earlier:
            return False
        self._earlier[change.node] = (change.key, change.output)
        return True

    def add(self, result: Result) -> None:
        self._results[result.key] = result

    def key(self, node: Node, inputs: Mapping[str, Any]) -> Key:
        digests = self._resolve(list(dict.fromkeys(references_in(inputs))))
        found = [digest for digest in digests.values() if digest is not None]
        return Key(step_key(self._codes[node.id], inputs, digests), tuple(dict.fromkeys(found)))

    def resumed(self, node: Node, key: str) -> tuple[Any] | None:
        """The output this run had before it was interrupted, in a tuple, if code and inputs are still the same."""
        earlier = self._earlier.get(node.id)
        return (earlier[1],) if earlier is not None and earlier[0] == key else None

    def cached(self, node: Node, key: str) -> Result | None:
        """The newest result of the same code and inputs, unless the step wants to run every time."""
        if not node.step.cache:
            return None
        found = self._results.get(key)
        if found is None and not self._complete:
            found = next(iter(self._log.lookup([key])), None)
        return found

    def _resolve(self, references: list[str]) -> Mapping[str, str | None]:
        """A numbered reference means the same for ever; any other is looked up each time a step is about to start."""
        asked = [text for text in references if text not in self._digests]
        if not asked:
            return {text: self._digests[text] for text in references}
        answers = self._log.resolve(asked)
        self._digests.update(
            {text: digest for text, digest in answers.items() if is_fixed(text) and digest is not None}
        )
        return {text: answers[text] if text in answers else self._digests[text] for text in references}
