"""A folder in MLflow's format becomes the manifest of a model. Whatever is wrong with it, it can be registered and kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from twinloop.control.artifacts.model import Artifact
from twinloop.control.security.model import Principal
from twinloop.core.errors import InvalidInput, MissingDependency, NotFound
from twinloop.ml.training.flavors import NOTHING, Choice, choose
from twinloop.ml.training.mlmodel import LIMIT, NAME, MlModel, read_mlmodel
from twinloop.ml.training.model import ModelFile
from twinloop.ml.training.packages import Example, PackageManifest
from twinloop.ml.training.places import Uris, find_place

_MOST_FILES = 5_000
_REQUIREMENTS = "requirements.txt"
_REQUIREMENTS_LIMIT = 64 * 2**10
_MOST_REQUIREMENTS = 500


class Tree(Protocol):
    """The artifact tree, as far as describing needs it."""

    async def tree(self, who: Principal, folder: str = "") -> list[Artifact]: ...

    async def open(
        self, who: Principal, path: str, start: int = 0, end: int | None = None
    ) -> tuple[Artifact, AsyncIterator[bytes]]: ...


class Source(NamedTuple):
    """What a client registers: where the files are, and the run and the logged model they came from, if it says so.

    ``storage`` is where they are in the end, when ``uri`` names another version of a model.
    """

    uri: str
    run_id: str | None = None
    model_id: str | None = None
    storage: str | None = None


class Packages:
    """Describes folders of the artifact tree as models."""

    def __init__(self, artifacts: Tree, uris: Uris) -> None:
        self._artifacts = artifacts
        self._uris = uris

    async def describe(self, who: Principal, source: Source) -> PackageManifest:
        """The manifest of what lies at ``source``; one with ``safe`` False and a reason when it cannot be loaded."""
        place = await find_place(who, source.storage or source.uri, self._uris)
        if place.folder is None:
            return _kept(source, place.reason)
        try:
            found = await self._artifacts.tree(who, place.folder)
        except InvalidInput as error:
            return _kept(source, f"The source is not a place of artifacts: {error.message}")
        held = {artifact.path.removeprefix(place.folder).lstrip("/"): artifact for artifact in found}
        if len(held) > _MOST_FILES:
            return _kept(source, f"The folder has {len(held)} files; models of up to {_MOST_FILES} are described.")
        if NAME not in held:
            return _kept(
                source,
                f"There is no {NAME} file at {source.uri[:200]}. Register the folder that log_model wrote.",
                held,
            )
        try:
            model = read_mlmodel(await self._read(who, held[NAME].path, LIMIT + 1))
            requirements: tuple[str, ...] = ()
            if _REQUIREMENTS in held:
                requirements = _lines(await self._read(who, held[_REQUIREMENTS].path, _REQUIREMENTS_LIMIT))
        except (InvalidInput, NotFound, MissingDependency) as error:
            return _kept(source, error.message, held)
        return _described(source, model, held, requirements)

    async def _read(self, who: Principal, path: str, limit: int) -> bytes:
        _, chunks = await self._artifacts.open(who, path, 0, limit)
        return b"".join([chunk async for chunk in chunks])


def _described(
    source: Source, model: MlModel, held: Mapping[str, Artifact], requirements: tuple[str, ...]
) -> PackageManifest:
    unsafe = {path: artifact.flag for path, artifact in held.items() if artifact.flag}
    chosen = choose(model, held.keys(), unsafe)
    loads = chosen if isinstance(chosen, Choice) else None
    return PackageManifest(
        package="mlflow",
        format=loads.format if loads else NOTHING,
        safe=loads is not None,
        source=source.uri,
        files=_files(held),
        flavors=tuple(sorted(model.flavors)),
        flavor=loads.flavor if loads else None,
        load=loads.files if loads else (),
        options=loads.options if loads else {},
        inputs=model.inputs,
        outputs=model.outputs,
        params=model.params,
        example=_example(model, held),
        requirements=requirements,
        python=model.python_version,
        unsafe=unsafe,
        reason=None if isinstance(chosen, Choice) else chosen.reason,
        run_id=source.run_id,
        model_id=source.model_id,
    )


def _kept(source: Source, reason: str, held: Mapping[str, Artifact] | None = None) -> PackageManifest:
    """A model that nothing more is known of."""
    held = held or {}
    return PackageManifest(
        package="mlflow",
        format=NOTHING,
        safe=False,
        source=source.uri,
        files=_files(held),
        unsafe={path: artifact.flag for path, artifact in held.items() if artifact.flag},
        reason=reason,
        run_id=source.run_id,
        model_id=source.model_id,
    )


def _files(held: Mapping[str, Artifact]) -> dict[str, ModelFile]:
    return {path: ModelFile(artifact.digest, artifact.size) for path, artifact in sorted(held.items())}


def _example(model: MlModel, held: Mapping[str, Artifact]) -> Example | None:
    if model.example is None or model.example.path not in held:
        return None
    return Example(model.example.path, held[model.example.path].digest, model.example.form)


def _lines(content: bytes) -> tuple[str, ...]:
    lines: Sequence[str] = content.decode(errors="replace").splitlines()
    return tuple(line.strip()[:200] for line in lines if line.strip() and not line.startswith("#"))[:_MOST_REQUIREMENTS]
