"""Data a run reads that is no revision: what it is called, a digest of its content, and how it looks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from twinloop.core.digests import digest_json
from twinloop.core.errors import InvalidInput

_CHUNK = 2**20
_COLUMNS = 500


class Reading(msgspec.Struct, frozen=True):
    """``digest`` is ``sha256:`` over the content; ``source``, ``schema`` and ``profile`` are JSON as MLflow's clients read it."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None


def describe(what: Any, name: str | None) -> Reading:
    """Digest data and say what it is.

    The digest tells the same content in the same form again. Data frames of different libraries, and different versions
    of one library, may digest the same rows differently.

    Raises:
        InvalidInput: it is nothing that can be digested, or it has no name.
    """
    if isinstance(what, str | Path):
        return _file(Path(what), name)
    digest, shape, columns = _digested(what)
    schema = {"columns": columns[:_COLUMNS]} if columns else None
    return Reading(
        name=name or type(what).__name__.lower(),
        digest=digest,
        source_type="code",
        source=_json({"kind": f"{type(what).__module__}.{type(what).__qualname__}"}),
        schema=None if schema is None else _json(schema),
        profile=_json({"shape": shape, "num_rows": shape[0] if shape else 1}),
    )


def _file(path: Path, name: str | None) -> Reading:
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder. Use its files one by one, or take a snapshot of it as a dataset.")
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}. Nothing was logged.")
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sha.update(chunk)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}). Check its owner and permissions.") from error
    source = _json({"uri": str(path.absolute())})
    size = _json({"bytes": path.stat().st_size})
    return Reading(name or path.name, f"sha256:{sha.hexdigest()}", "local", source, None, size)


_Digested = tuple[str, list[int], list[dict[str, str]]]


def _digested(what: Any) -> _Digested:
    ways: tuple[tuple[bool, Callable[[Any], _Digested]], ...] = (
        (type(what).__module__.split(".")[0] == "pandas", _pandas),
        (hasattr(what, "__arrow_c_stream__"), _arrow),
        (hasattr(what, "__array__"), _array),
        (isinstance(what, list | tuple | dict), _rows),
    )
    for fits, way in ways:
        if fits:
            try:
                return way(what)
            except (TypeError, ValueError, OverflowError, RuntimeError, ImportError) as error:
                raise InvalidInput(
                    f"This {type(what).__name__} cannot be digested: {str(error)[:200]}. Use the file it came from instead."
                ) from error
    raise InvalidInput(
        f"A {type(what).__name__} cannot be digested. Give a data frame, an array, rows, a file or a revision."
    )


def _pandas(what: Any) -> _Digested:
    pandas: Any = import_module("pandas")
    frame = what.to_frame() if isinstance(what, pandas.Series) else what
    columns = [{"name": str(name), "type": str(kind)} for name, kind in zip(frame.columns, frame.dtypes, strict=True)]
    sha = hashlib.sha256(_json(columns).encode())
    sha.update(pandas.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return f"sha256:{sha.hexdigest()}", list(frame.shape), columns


def _arrow(what: Any) -> _Digested:
    import pyarrow

    table = pyarrow.table(what).combine_chunks().replace_schema_metadata(None)
    columns = [{"name": field.name, "type": str(field.type)} for field in table.schema]
    sink = _Sha256()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return f"sha256:{sink.sha.hexdigest()}", [table.num_rows, table.num_columns], columns


class _Sha256:
    """A file that keeps only the digest of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.sha = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _array(what: Any) -> _Digested:
    import numpy

    array = numpy.asarray(what)
    if array.dtype.hasobject:
        return _rows(array.tolist())
    sha = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    sha.update(numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8).data)
    return f"sha256:{sha.hexdigest()}", list(array.shape), []


def _rows(what: Any) -> _Digested:
    return digest_json(what), [len(what)], []


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
