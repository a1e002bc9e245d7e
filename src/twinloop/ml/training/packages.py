"""The manifest of a model that came as a folder in MLflow's format, beside that of a model logged with Twinloop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from twinloop.core.digests import parse_digest
from twinloop.core.errors import InvalidInput
from twinloop.ml.training.fields import Field, Param
from twinloop.ml.training.flavors import NOTHING
from twinloop.ml.training.model import ModelFile

MARK = "package"
FORMATS = ("xgboost-ubj", "xgboost-json", "onnx", "lightgbm", "skops")
"""Formats of packages that are loaded; each describes a model as data."""


class Example(msgspec.Struct, frozen=True):
    """The input that its author logged with a model. ``form`` is ``serving`` or MLflow's name for how it is written."""

    path: str
    digest: str
    form: str


class PackageManifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Manifest of a revision of kind ``model`` whose files are a folder in MLflow's format.

    ``format`` is what ``flavor`` is loaded as, from the files ``load`` (paths of ``files``, the main one first); it is
    ``mlflow``, with ``safe`` False and a ``reason``, when nothing in the folder can be loaded as data. ``unsafe`` names the
    files that could run code when they are opened. ``inputs`` and ``outputs`` are the signature its author declared, None
    where there is none. Files that lie in a store of the author's own are not known: ``source`` alone says where they are.
    """

    package: Literal["mlflow"]
    format: str
    safe: bool
    source: str
    files: dict[str, ModelFile] = {}
    flavors: tuple[str, ...] = ()
    flavor: str | None = None
    load: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    inputs: tuple[Field, ...] | None = None
    outputs: tuple[Field, ...] | None = None
    params: tuple[Param, ...] = ()
    example: Example | None = None
    requirements: tuple[str, ...] = ()
    python: str | None = None
    unsafe: dict[str, str] = {}
    reason: str | None = None
    run_id: str | None = None
    model_id: str | None = None

    @property
    def views(self) -> tuple[str, ...]:
        """A package reads no feature views."""
        return ()

    def told(self) -> dict[str, Any]:
        """What a reader of its lineage is shown: how it is loaded, or that it is not and which files are the reason."""
        if self.safe:
            return {"format": self.format, "flavor": self.flavor}
        unsafe = ", ".join(f"{path} ({why})" for path, why in sorted(self.unsafe.items()))
        return {"format": self.format, "loaded": "never"} | ({"unsafe": unsafe[:200]} if unsafe else {})


def read_package(manifest: Mapping[str, Any]) -> PackageManifest:
    """Raises InvalidInput, naming the field, when ``manifest`` is not one of a package."""
    try:
        package = msgspec.convert(manifest, PackageManifest)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"This is not the manifest of a packaged model: {error}. Register it with MLflow's client."
        ) from error
    _check(package)
    return package


def _check(package: PackageManifest) -> None:
    known = package.format in FORMATS
    if not known and package.format != NOTHING:
        raise InvalidInput(f"{package.format[:40]!r} is not a format of packages. Use one of: {', '.join(FORMATS)}.")
    if package.safe != known:
        raise InvalidInput(f"The field safe says {package.safe} and the format {package.format} says otherwise.")
    if not package.safe and not package.reason:
        raise InvalidInput("A package that is not loaded needs the reason why.")
    if package.safe and not package.load:
        raise InvalidInput(f"A package of format {package.format} needs the files it is loaded from, as load.")
    for path in package.load:
        if path not in package.files:
            raise InvalidInput(f"The package is loaded from {path[:80]!r}, which is not among its files.")
        if path in package.unsafe:
            raise InvalidInput(f"The package is loaded from {path[:80]!r}, which is marked as unsafe.")
    for digest in [
        *(file.digest for file in package.files.values()),
        *([package.example.digest] if package.example else []),
    ]:
        parse_digest(digest)
