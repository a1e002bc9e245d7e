"""The registry's view of kind ``model``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput
from twinloop.ml.training.formats import check_format
from twinloop.ml.training.model import KIND, ModelManifest
from twinloop.ml.training.packages import MARK, PackageManifest, read_package

AnyModel = ModelManifest | PackageManifest
"""What a revision of kind ``model`` is: logged with Twinloop, or a folder in MLflow's format."""


def read_manifest(manifest: Mapping[str, Any]) -> AnyModel:
    """Raises InvalidInput, naming the field, when ``manifest`` is not one of a model in either shape."""
    return read_package(manifest) if MARK in manifest else read_model(manifest)


def read_model(manifest: Mapping[str, Any]) -> ModelManifest:
    """Raises InvalidInput, naming the field, when ``manifest`` is not one of a model logged with Twinloop."""
    try:
        model = msgspec.convert(manifest, ModelManifest)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"This is not the manifest of a model: {error}. Log models with client.models.log."
        ) from error
    _check(model)
    return model


def _check(model: ModelManifest) -> None:
    if check_format(model.format) != model.safe:
        raise InvalidInput(
            f"The field safe says {model.safe} and the format {model.format} says otherwise. Leave it out."
        )
    names = [item.name for item in model.inputs]
    if len(set(names)) != len(names):
        raise InvalidInput("The model names an input twice. Give each input its own name.")
    if not 0 < model.threshold < 1:
        raise InvalidInput(f"The threshold is {model.threshold}. Give a number between 0 and 1.")
    if model.format == "constant":
        value = model.params.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput("A constant model needs the number it always answers, in params as 'value'.")
        if model.task == "binary" and not 0 <= value <= 1:
            raise InvalidInput(f"A constant binary model answers a probability, and {value} is none.")
    elif not model.files:
        raise InvalidInput(f"A model of format {model.format} needs its file.")
    for digest in [*model.views, *(file.digest for file in model.files.values())]:
        parse_digest(digest)


class ModelKind:
    name = KIND

    def validate(self, manifest: Mapping[str, Any]) -> None:
        read_manifest(manifest)

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        """The feature views it reads: a release pins them with the model."""
        return [Digest(digest) for digest in read_manifest(manifest).views]
