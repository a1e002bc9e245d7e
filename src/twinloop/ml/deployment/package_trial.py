"""A packaged model is tried before it may answer: on the example that was logged with it, against its own signature."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from twinloop.control.releases.answers import PredictRequest
from twinloop.core.errors import InvalidInput, NotFound, Refused, TwinloopError
from twinloop.ml.deployment.loading import Loader
from twinloop.ml.deployment.package_inputs import PackageInputs
from twinloop.ml.deployment.package_outputs import PackageOutputs
from twinloop.ml.deployment.package_target import PackageTarget
from twinloop.ml.deployment.ports import LoadedPackage
from twinloop.ml.training.examples import LIMIT, read_example
from twinloop.ml.training.fields import Field
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    from twinloop.ml.deployment.ports import Arrays


async def open_package(ref: str, package: PackageManifest, loader: Loader) -> PackageTarget:
    """Load a package and try it.

    Raises:
        Refused: its signature cannot be served, its example does not fit its own signature, or its answer does not.
        InvalidInput, NotOffered, MissingDependency: the model cannot be loaded.
    """
    _check_signature(ref, package)
    loaded = await loader.load_package(ref, package)
    try:
        return PackageTarget(ref, package, loaded, await _tried(ref, package, loaded, loader))
    except BaseException:
        await asyncio.to_thread(loaded.close)
        raise


def _check_signature(ref: str, package: PackageManifest) -> None:
    if package.params and package.format != "onnx":
        names = ", ".join(param.name for param in package.params[:10])
        raise Refused(
            f"{ref} declares parameters of its prediction call ({names}), which are not served. Log it with a signature "
            "without params."
        )
    for field in (*(package.inputs or ()), *(package.outputs or ())):
        if not field.servable:
            raise Refused(
                f"{ref} declares {field.name!r} as {field.type[:40]}, which is not served. Log it with columns of plain types, "
                "or tensors of numbers or text."
            )


async def _tried(ref: str, package: PackageManifest, loaded: LoadedPackage, loader: Loader) -> Arrays | None:
    """What the model answers to its example. Without one, to a row of zeros where that is possible: its shape is of use."""
    inputs, outputs = PackageInputs(loaded.inputs), PackageOutputs(package.outputs)
    if package.example is None:
        return await _blank(inputs, outputs, loaded)
    content = await _content(ref, package.example.digest, loader)
    try:
        example = read_example(content, loaded.inputs)
        given = inputs.arrays(example)
    except InvalidInput as error:
        raise Refused(
            f"{ref} refuses its own input example: {error.message} Log the model again with an example and a signature that fit."
        ) from error
    try:
        return outputs.arrays(await asyncio.to_thread(loaded.predict, given), example.rows)
    except TwinloopError as error:
        raise Refused(f"{ref} does not answer its own input example as declared: {error.message}") from error


async def _content(ref: str, digest: str, loader: Loader) -> bytes:
    try:
        content = await loader.read(digest, LIMIT + 1)
    except NotFound as error:
        raise Refused(f"The input example of {ref} is gone from the store. Log the model again.") from error
    if len(content) > LIMIT:
        raise Refused(f"The input example of {ref} has over {LIMIT} bytes. Log the model with a few rows.")
    return content


async def _blank(inputs: PackageInputs, outputs: PackageOutputs, loaded: LoadedPackage) -> Arrays | None:
    row = {field.name: [_zero(field, field.shape)] for field in inputs.fields}
    try:
        given = inputs.arrays(PredictRequest(row, 1))
        found = await asyncio.to_thread(loaded.predict, given)
    except TwinloopError:
        return None  # a row that nobody sent may be refused; what callers send decides
    try:
        return outputs.arrays(found, 1)
    except TwinloopError as error:
        raise Refused(f"The model does not answer as its signature declares: {error.message}") from error


def _zero(field: Field, shape: tuple[int, ...]) -> object:
    if shape:
        return [_zero(field, shape[1:]) for _ in range(max(shape[0], 1))]
    return {"bool": False, "string": "", "binary": "", "datetime": "1970-01-01"}.get(
        field.type, 0.0 if field.type.startswith("float") else 0
    )
