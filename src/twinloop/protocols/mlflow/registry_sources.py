"""Where the files of a new model version are, and whether its client may say so.

A source must lie within the run or the logged model that the request names, as MLflow's server demands: a version is
downloaded by whoever may read the registry, so it must not point at what its author could not read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn, Protocol
from urllib.parse import unquote, unquote_plus, urlparse, urlsplit

from twinloop.control.registry.model import Version
from twinloop.control.security.model import Principal
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.mlflow.registry_translate import PROMPT

# What MLflow's clients send as the source of a prompt, which has none.
_PROMPT_SOURCES = ("dummy-source", "prompt-template")
_ELSEWHERE = ("ftp", "sftp", "hdfs", "viewfs", "http", "https", "mlflow-artifacts", "r2", "b2", "abfss")
_TREE = "mlflow-artifacts"
_PROXY = ("api", "2.0", "mlflow-artifacts", "artifacts")
_LATEST = "latest"


class LoggedModel(NamedTuple):
    """Where a logged model's files are, and the run that logged it."""

    location: str
    run_id: str | None


class Places(Protocol):
    """What tracking knows of runs and logged models."""

    async def of_run(self, who: Principal, run_id: str) -> str | None:
        """The root of a run's artifacts; None when there is no such run."""
        ...

    async def model(self, who: Principal, model_id: str) -> LoggedModel | None: ...

    async def registered(self, who: Principal, model_id: str, title: str, number: int) -> None:
        """A version was made of a logged model."""
        ...


class ModelUri(NamedTuple):
    """``models:/…`` in its parts; all but one of the last four are None, or all are, which means the latest."""

    name: str
    version: int | None = None
    stage: str | None = None
    alias: str | None = None
    model_id: str | None = None


class Source(NamedTuple):
    """``uri`` as it is kept, the run and the logged model it belongs to, and where the files really are."""

    uri: str
    run_id: str | None
    model_id: str | None
    storage: str


Lookup = Callable[[ModelUri], Awaitable[Version]]
"""Finds a registered version. Raises NotFound."""


def prompt_source(source: str) -> Source:
    """Raises InvalidInput when a prompt is said to have files."""
    if source not in _PROMPT_SOURCES:
        raise InvalidInput(f"Invalid prompt source: '{source[:200]}'. Prompt sources must use an MLflow placeholder.")
    return Source(source, None, None, source)


async def model_source(
    who: Principal, source: str, run_id: str | None, model_id: str | None, places: Places, lookup: Lookup
) -> Source:
    """Check a source and find what it means. None says that a client sent no id, "" that it sent an empty one.

    Raises:
        InvalidInput: it lies outside the run or the logged model named, or on a host of its own.
        NotFound: it names a version that there is not.
    """
    try:
        return await _resolve(who, source, run_id, model_id, places, lookup)
    except ValueError as error:  # urllib's word for an address that is none
        raise InvalidInput(f"Invalid model version source: '{source[:300]}'. {error}. Give another one.") from error


async def _resolve(
    who: Principal, source: str, run_id: str | None, model_id: str | None, places: Places, lookup: Lookup
) -> Source:
    _check_scheme(source)
    storage = source
    parsed = _model_uri(source) if urlparse(source).scheme == "models" else None
    if parsed is not None and parsed.model_id is None:
        version = await lookup(parsed)
        source, run_id, model_id = _of_version(source, version, run_id, model_id)
        storage = version.revision.origin.storage or version.revision.origin.source or source
    if model_id:
        await _check_model(who, source, model_id, places)
    else:
        await _check_run(who, source, run_id or "", places)
    if model_id and (parsed is None or parsed.model_id is not None):
        logged = await places.model(who, model_id)
        if logged is None:
            raise NotFound(f"Logged model with ID '{model_id[:100]}' not found.")
        run_id = run_id or logged.run_id
        storage = logged.location if parsed is not None else storage
    return Source(source, run_id or None, model_id or None, storage)


def parse_model_uri(uri: str) -> ModelUri | None:
    """``models:/name/3``, ``models:/name/Production``, ``models:/name@alias`` or ``models:/m-…``; None when it is neither."""
    parsed = urlparse(uri, allow_fragments=False)
    parts = parsed.path.lstrip("/").split("/")
    if parsed.scheme != "models" or not parsed.path.startswith("/") or len(parts) > 2 or not parts[0].strip():
        return None
    if len(parts) == 2:
        name, suffix = parts
        if suffix.isascii() and suffix.isdigit() and len(suffix) <= 18:
            return ModelUri(name, version=int(suffix))
        if not suffix.strip():
            return None
        return ModelUri(name, stage=None if suffix.lower() == _LATEST else suffix)
    if "@" not in parts[0]:
        return ModelUri("", model_id=parts[0])
    name, _, alias = parts[0].rpartition("@")
    return ModelUri(name, alias=alias) if alias.strip() else None


def _model_uri(source: str) -> ModelUri:
    if urlparse(source).netloc:
        raise InvalidInput(
            f"Invalid model version source: '{source[:300]}'. Registered model sources must use the active model registry."
        )
    found = parse_model_uri(source)
    if found is None:
        _refuse(source, "model_id")
    return found


def _of_version(
    source: str, version: Version, run_id: str | None, model_id: str | None
) -> tuple[str, str | None, str | None]:
    """A version made of another one inherits what that came from."""
    revision = version.revision
    if revision.kind == PROMPT:
        raise InvalidInput(
            f"Invalid model version source: '{source[:300]}'. Prompt versions cannot be used as model version sources."
        )
    run, model = revision.run_id, revision.origin.model_id
    if (run_id is not None and run_id != (run or "")) or (model_id and model_id != (model or "")):
        raise InvalidInput(
            f"Invalid model version source: '{source[:300]}'. The run_id and model_id request parameters must match the "
            "referenced model version."
        )
    return f"models:/{version.title}/{revision.number}", run, model


async def _check_run(who: Principal, source: str, run_id: str, places: Places) -> None:
    if _is_local(source):
        root = await places.of_run(who, run_id) if run_id else None
        if root is None and run_id:
            _refuse(source, "run_id")
        _check_local(source, root, "run")
        return
    _check_absolute(source)
    parsed = urlparse(source)
    if parsed.scheme == "runs":
        if parsed.netloc or not run_id or parsed.path.lstrip("/").split("/")[0] != run_id:
            _refuse(source, "run_id")
        return
    if parsed.scheme == "models" and (found := parse_model_uri(source)) is not None and found.model_id is not None:
        _refuse(source, "model_id")
    if _in_tree(source):
        root = await places.of_run(who, run_id) if run_id else None
        if root is None or not _within(source, root):
            _refuse(source, "run_id")


async def _check_model(who: Principal, source: str, model_id: str, places: Places) -> None:
    if _is_local(source):
        logged = await places.model(who, model_id)
        if logged is None:
            _refuse(source, "model_id")
        _check_local(source, logged.location, "model")
        return
    _check_absolute(source)
    parsed = urlparse(source)
    if parsed.scheme == "models":
        found = parse_model_uri(source)
        if found is not None and found.model_id is not None and found.model_id != model_id:
            _refuse(source, "model_id")
        return
    if parsed.scheme == "runs":
        _refuse(source, "model_id")
    if _in_tree(source):
        logged = await places.model(who, model_id)
        if logged is None or not _within(source, logged.location):
            _refuse(source, "model_id")


def _check_scheme(source: str) -> None:
    parsed = urlparse(source)
    scheme = parsed.scheme.lower()
    if scheme not in _ELSEWHERE or (scheme == _TREE and not parsed.netloc):
        return
    raise InvalidInput(
        f"'source' cannot use the '{scheme}' scheme: it names a host of its own. Log the model to a run of this server, or "
        "keep it in an object store."
    )


def _check_absolute(source: str) -> None:
    """Nothing of a path may lead out of where it begins, however it is written."""
    plain = source
    while (further := unquote_plus(plain)) != plain:
        plain = further
    path = posixpath.join("/", *[part for part in urlparse(plain).path.split("/") if part])
    given = urlparse(plain).path
    if "\x00" in given or ".." in plain.split("/") or not given.startswith("/") or posixpath.normpath(path) != path:
        raise InvalidInput(
            f"Invalid model version source: '{source[:300]}'. If supplying a source as an http, https, local file path, ftp, "
            "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references present."
        )


def _check_local(source: str, root: str | None, what: str) -> None:
    if root is not None and _is_local(root):
        folder = posixpath.abspath(_path(root))
        if posixpath.commonpath([folder, posixpath.abspath(_path(source))]) == folder:
            return
    raise InvalidInput(
        f"Invalid model version source: '{source[:300]}'. To use a local path as a model version source, the {what}_id request "
        f"parameter has to be specified and the local path has to be contained within the artifact directory of the {what}."
    )


def _is_local(uri: str) -> bool:
    parsed = urlparse(uri)
    if parsed.scheme == "file" and parsed.hostname not in (None, "", ".", "localhost", "127.0.0.1"):
        raise InvalidInput(f"{uri[:300]} is not a valid remote uri. Give a path of an object store instead.")
    return parsed.scheme in ("", "file")


def _path(uri: str) -> str:
    return unquote(urlparse(uri).path) if uri.startswith("file:") else uri


def _in_tree(source: str) -> bool:
    """Whether this server keeps the files, named directly or by the address under which it hands them out."""
    scheme, _, parts = _parts(source)
    if scheme == _TREE:
        return True
    size = len(_PROXY)
    return scheme in ("http", "https") and any(parts[i : i + size] == _PROXY for i in range(len(parts) - size + 1))


def _within(source: str, root: str) -> bool:
    scheme, host, parts = _parts(source)
    root_scheme, root_host, root_parts = _parts(root)
    return (scheme, host) == (root_scheme, root_host) and bool(root_parts) and parts[: len(root_parts)] == root_parts


def _parts(uri: str) -> tuple[str, str, tuple[str, ...]]:
    parsed = urlsplit(uri)
    return parsed.scheme.lower(), parsed.netloc.lower(), tuple(_plain(part) for part in parsed.path.split("/") if part)


def _plain(text: str) -> str:
    while (further := unquote(text)) != text:
        text = further
    return text


def _refuse(source: str, id: str) -> NoReturn:
    raise InvalidInput(
        f"Invalid model version source: '{source[:300]}'. The {id} request parameter must identify the resource that contains "
        "the source."
    )
