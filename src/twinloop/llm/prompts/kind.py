"""The kind ``prompt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.core.digests import Digest
from twinloop.llm.documents.manifests import decode
from twinloop.llm.prompts.model import Prompt


class PromptKind:
    name = "prompt"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        decode(manifest, Prompt, self.name).check()

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()
