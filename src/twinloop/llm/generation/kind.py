"""The kind ``generator``: which engine writes text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.core.digests import Digest
from twinloop.llm.generation.ports import ChatEngineFactory


class GeneratorKind:
    name = "generator"

    def __init__(self, generators: ChatEngineFactory) -> None:
        self._generators = generators

    def validate(self, manifest: Mapping[str, Any]) -> None:
        self._generators.validate(manifest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()
