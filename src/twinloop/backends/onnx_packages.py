"""Packaged models in ONNX: any graph of tensors whose first dimension counts rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from twinloop.backends.matrix import Layout
from twinloop.backends.onnx_models import open_session
from twinloop.core.errors import InvalidInput, UpstreamError
from twinloop.ml.training.fields import Field
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays

_ELEMENTS = {
    "float": "float32",
    "double": "float64",
    **{name: name for name in ("bool", "float16", "string")},
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class _Port(NamedTuple):
    """A tensor that the graph takes: ``rows`` when it takes only one number of them, and the shape of one row."""

    name: str
    type: str
    rows: int | None
    shape: tuple[int, ...]


class OnnxPackages:
    """Loads only what ONNX itself defines, as ``OnnxEngine`` does, on ``threads`` threads."""

    formats = ("onnx",)

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load_package(self, package: PackageManifest, files: Mapping[str, Path]) -> OnnxPackage:
        name, session = open_session(files, self._threads)
        ports = [_port(name, found) for found in session.get_inputs()]
        for output in session.get_outputs():
            if not output.type.startswith(("tensor(", "seq(map(")):
                raise InvalidInput(
                    f"{name} answers {output.name!r} as {output.type}. Export it with tensors as outputs."
                )
        return OnnxPackage(session, ports, package.inputs)


class OnnxPackage:
    """Answers the graph's outputs by their own names. A list of maps (ZipMap) becomes a matrix, its keys the classes."""

    def __init__(self, session: Any, ports: Sequence[_Port], declared: Sequence[Field] | None) -> None:
        self._session = session
        self._ports = ports
        self._outputs = [output.name for output in session.get_outputs()]
        self._rows = next((port.rows for port in ports if port.rows is not None), None)
        self._layout: Layout | None = None
        self._fields = self._matched(declared)

    @property
    def inputs(self) -> tuple[Field, ...]:
        return self._fields

    @property
    def classes(self) -> Sequence[Any] | None:
        return None

    def predict(self, given: Arrays, /) -> Arrays:
        import numpy as np

        feed = self._feed(given)
        rows = len(next(iter(feed.values())))
        if self._rows is None:
            return self._run(feed)
        parts = []
        for start in range(0, rows, self._rows):
            part = {name: _padded(values[start : start + self._rows], self._rows) for name, values in feed.items()}
            parts.append(self._run(part))
        return {name: np.concatenate([part[name] for part in parts])[:rows] for name in parts[0]}

    def close(self) -> None:
        self._session = None

    def _matched(self, declared: Sequence[Field] | None) -> tuple[Field, ...]:
        """The inputs to ask callers for. Raises InvalidInput when the graph takes others than the signature declares."""
        several = len(self._ports) > 1
        if declared is None:
            # Exporters of tables give every column a tensor of its own with the shape (rows, 1).
            return tuple(
                Field(port.name, port.type, () if several and port.shape == (1,) else port.shape)
                for port in self._ports
            )
        names = [port.name for port in self._ports]
        if {field.name for field in declared} == set(names):
            ports = {port.name: port for port in self._ports}
            return tuple(_fitted(ports[field.name], field) for field in declared)
        if len(declared) == 1 and declared[0].shape and not several:
            return (_fitted(self._ports[0], declared[0]),)
        if several or len(self._ports[0].shape) != 1 or not self._ports[0].type.startswith("float"):
            raise InvalidInput(
                f"The signature has the inputs {', '.join(field.name for field in declared)[:200]} and the graph takes "
                f"{', '.join(names)[:200]}. Give the signature the graph's names."
            )
        [width] = self._ports[0].shape
        self._layout = Layout(declared, len(declared) if width == -1 else width, None, self._ports[0].type)
        return self._layout.fields

    def _feed(self, given: Arrays) -> dict[str, NDArray[np.generic]]:
        if self._layout is not None:
            [port] = self._ports
            return {port.name: self._layout.matrix(given, port.type)}
        feed = {}
        for port in self._ports:
            values = given.get(port.name) if port.name in given or len(self._ports) > 1 else next(iter(given.values()))
            if values is None:
                raise InvalidInput(f"Input {port.name!r} is missing, and the graph cannot do without it.")
            element = object if port.type == "string" else port.type
            shape = (len(values), 1) if port.shape == (1,) and values.ndim == 1 else values.shape
            feed[port.name] = values.astype(element, copy=False).reshape(shape)
        return feed

    def _run(self, feed: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        try:
            found = self._session.run(self._outputs, dict(feed))
        except Exception as error:  # onnxruntime raises a family of unrelated classes
            line = str(error).splitlines()[0][:200]
            kind = InvalidInput if type(error).__name__ == "InvalidArgument" else UpstreamError
            raise kind(f"The graph could not predict: {line}.") from error
        return {name: _array(values) for name, values in zip(self._outputs, found, strict=True)}


def _port(file: str, found: Any) -> _Port:
    element = _ELEMENTS.get(found.type.removeprefix("tensor(").removesuffix(")"))
    if element is None or not found.shape:
        raise InvalidInput(
            f"{file} takes {found.name!r} as {found.type}{found.shape}. Export it with a tensor of rows."
        )
    # A dimension is a number, or a name or None when it is left open.
    rows, *shape = [size if isinstance(size, int) and size > 0 else None for size in found.shape]
    return _Port(str(found.name), element, rows, tuple(-1 if size is None else size for size in shape))


def _fitted(port: _Port, field: Field) -> Field:
    """The declared input with the graph's sizes where it leaves them open. Raises InvalidInput when the two differ."""
    shape = field.shape or ((1,) if port.shape == (1,) else ())
    same = len(shape) == len(port.shape) and all(-1 in (a, b) or a == b for a, b in zip(shape, port.shape, strict=True))
    if not same or not _convertible(field.type, port.type):
        raise InvalidInput(
            f"The signature has {field.name!r} as {field} and the graph takes {port.type}{list(port.shape) or ''}."
        )
    sizes = tuple(b if a == -1 else a for a, b in zip(field.shape, port.shape, strict=False))
    return Field(field.name, field.type, sizes, field.required)


def _convertible(declared: str, taken: str) -> bool:
    """As NumPy's ``same_kind``: widths may change, and whole numbers become floating ones but not the other way round."""
    import numpy as np

    if "string" in (declared, taken):
        return declared == taken
    return bool(np.can_cast(declared, taken, "same_kind"))


def _padded(values: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    """The last row again and again, up to the number of rows the graph insists on."""
    import numpy as np

    missing = rows - len(values)
    return values if missing == 0 else np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])


def _array(values: Any) -> NDArray[np.generic]:
    import numpy as np

    if isinstance(values, list) and values and isinstance(values[0], dict):
        keys = list(values[0])
        return np.array([[row[key] for key in keys] for row in values])
    return np.asarray(values)
