"""What the story asks, and the sentence it changes between two releases."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Question(NamedTuple):
    """A question the documents answer, and words that a right answer quotes."""

    text: str
    expect: str


ANSWERABLE = (
    Question("Which library searches vectors by default?", "qdrant-edge-py"),
    Question("In which formats may a model be released?", "ONNX"),
    Question("How many tables does the step log use?", "two tables"),
)
UNANSWERABLE = "How much does the family ticket to the zoo cost?"


class Change(NamedTuple):
    """In ``path`` replace ``old`` by ``new``; the answer to ``question`` must then come from the new text."""

    path: str
    old: str
    new: str
    question: str

    def apply(self, folder: Path) -> None:
        """Make the change in a copy of the documents. Raises LookupError when the old text is not there."""
        file = folder / self.path
        text = file.read_text(encoding="utf-8")
        if self.old not in text:
            raise LookupError(f"{self.path} no longer says {self.old!r}. Choose another sentence in questions.py.")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


CHANGE = Change(
    path="decisions/0002-step-log.md",
    old="A lease of 30 s, renewed by every call",
    new="A lease of 45 s, renewed by every call",
    question="How long is the lease of a run?",
)
