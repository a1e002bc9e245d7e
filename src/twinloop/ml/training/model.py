"""What a model revision says about itself."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

KIND = "model"

Task = Literal["binary", "regression"]


class Input(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input of a model, in the model's order.

    A ``number`` is fed as float32 (true is 1). A ``category`` is fed as its place in ``categories``; a value that is not
    among them is missing. Missing is NaN.
    """

    name: str
    type: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()


class ModelFile(msgspec.Struct, frozen=True):
    digest: str
    size: int


class ModelManifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Manifest of a revision of kind ``model``.

    ``views`` are digests of the feature views that give inputs, in the order they are looked up; inputs that no view
    gives come with the request. A ``binary`` model answers ``probability`` (of the label being true) and a boolean named
    ``label``, true from ``threshold`` on; a ``regression`` model answers one number named ``label``. ``safe`` is False for
    formats whose loading may run code: they are kept but never loaded.
    """

    format: str
    files: dict[str, ModelFile]
    task: Task
    label: str
    inputs: tuple[Input, ...]
    views: tuple[str, ...] = ()
    threshold: float = 0.5
    training_set: str | None = None
    params: dict[str, Any] = {}
    safe: bool = True

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """Names and Open Inference datatypes of the answer's columns."""
        if self.task == "binary":
            return (("probability", "FP64"), (self.label, "BOOL"))
        return ((self.label, "FP64"),)


class Draft(msgspec.Struct, frozen=True):
    """A model to register: as in the manifest, with references in place of digests and blobs by path."""

    format: str
    task: Task
    label: str
    inputs: tuple[Input, ...] = ()
    files: dict[str, str] = {}
    views: tuple[str, ...] = ()
    threshold: float = 0.5
    training_set: str | None = None
    params: dict[str, Any] = {}
