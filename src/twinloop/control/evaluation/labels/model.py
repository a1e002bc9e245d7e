"""What is kept of a label schema, and what it may ask for. Times are milliseconds since the Unix epoch."""

from __future__ import annotations

from typing import Literal

import msgspec

from twinloop.core.errors import InvalidInput

LabelType = Literal["FEEDBACK", "EXPECTATION"]

DEFAULT_NAME = "Feedback"
DEFAULT_INSTRUCTION = "Share any feedback on this trace."

_NAME = 250
_INSTRUCTION = 1000
_LABEL = 64
_OPTIONS = 10
_TEXT = 10_000_000


class PassFail(msgspec.Struct, frozen=True, tag="pass_fail"):
    """One of two labels; the positive one stands for true."""

    positive_label: str = ""
    negative_label: str = ""

    def check(self) -> None:
        for name, label in (("positive_label", self.positive_label), ("negative_label", self.negative_label)):
            if not label:
                raise InvalidInput(f"`InputPassFail.{name}` must be a non-empty string.")
            if len(label) > _LABEL:
                raise InvalidInput(f"`InputPassFail.{name}` must be at most {_LABEL} characters; got {len(label)}.")
        if self.positive_label == self.negative_label:
            raise InvalidInput("`InputPassFail.positive_label` and `negative_label` must be distinct.")


class Categorical(msgspec.Struct, frozen=True, tag="categorical"):
    """One of several options, or any of them."""

    options: list[str] = []
    multi_select: bool = False

    def check(self) -> None:
        if not self.options:
            raise InvalidInput("`InputCategorical.options` must be a non-empty list.")
        if len(self.options) > _OPTIONS:
            raise InvalidInput(
                f"`InputCategorical.options` must have at most {_OPTIONS} entries; got {len(self.options)}."
            )
        for option in self.options:
            if not option:
                raise InvalidInput("`InputCategorical.options` entries must be non-empty strings.")
            if len(option) > _LABEL:
                raise InvalidInput(
                    f"`InputCategorical.options` entries must be at most {_LABEL} characters; got {len(option)}."
                )
        if len(set(self.options)) < len(self.options):
            raise InvalidInput("`InputCategorical.options` must be deduplicated: name each once.")


class Numeric(msgspec.Struct, frozen=True, tag="numeric"):
    """A number, within bounds where they are given."""

    min_value: float | None = None
    max_value: float | None = None

    def check(self) -> None:
        if self.min_value is not None and self.max_value is not None and not self.min_value < self.max_value:
            raise InvalidInput(
                "`InputNumeric.min_value` must be strictly less than `max_value`; "
                f"got min={self.min_value}, max={self.max_value}."
            )


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Free text, up to a length where one is given."""

    max_length: int | None = None

    def check(self) -> None:
        if self.max_length is not None and self.max_length < 1:
            raise InvalidInput(f"`InputText.max_length` must be at least 1; got {self.max_length}.")
        if self.max_length is not None and self.max_length > _TEXT:
            raise InvalidInput(f"`InputText.max_length` must be at most {_TEXT}; got {self.max_length}.")


Input = PassFail | Categorical | Numeric | Text


class LabelSchema(msgspec.Struct, frozen=True):
    """One question; names are unique within an experiment. The ``default`` one is there by itself and stays as it is."""

    id: str
    experiment_id: str
    name: str
    type: LabelType
    input: Input
    instruction: str | None
    enable_comment: bool
    default: bool
    created_ms: int
    updated_ms: int

    def check(self) -> None:
        """Raise InvalidInput for what cannot be asked."""
        check_name(self.name)
        if self.instruction is not None and len(self.instruction) > _INSTRUCTION:
            raise InvalidInput(
                f"Label schema `instruction` must be at most {_INSTRUCTION} characters; got {len(self.instruction)}."
            )
        self.input.check()


class Change(msgspec.Struct, frozen=True):
    """What to change of a label schema; None leaves it."""

    name: str | None = None
    instruction: str | None = None
    enable_comment: bool | None = None
    input: Input | None = None


def check_name(name: str) -> None:
    if not name:
        raise InvalidInput("Label schema `name` must be a non-empty string.")
    if len(name) > _NAME:
        raise InvalidInput(f"Label schema `name` must be at most {_NAME} characters; got {len(name)}.")
    if name.strip().lower() == DEFAULT_NAME.lower():
        raise InvalidInput(
            f"`{name}` is reserved for the experiment's default question and cannot be used for another label schema."
        )


def check_same_input(before: Input, after: Input) -> None:
    """Raise InvalidInput when labels that were given already would mean something else."""
    if type(before) is not type(after):
        raise InvalidInput(
            f"A label schema's input type cannot be changed after creation (existing: {type(before).__name__}, "
            f"got: {type(after).__name__}). Make another label schema."
        )
    if isinstance(before, Categorical) and isinstance(after, Categorical) and before.multi_select != after.multi_select:
        raise InvalidInput(
            "`InputCategorical.multi_select` cannot be changed after creation. Make another label schema."
        )
