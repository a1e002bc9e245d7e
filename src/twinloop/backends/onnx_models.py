"""Models in ONNX: one float32 input (rows, inputs); the answer is the last column of the last float output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import InvalidInput, MissingDependency
from twinloop.ml.training.model import ModelManifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OnnxModel:
    def __init__(self, session: Any, source: str, output: str) -> None:
        self._session = session
        self._source = source
        self._output = output

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        import numpy as np

        [found] = self._session.run([self._output], {self._source: matrix})
        return np.asarray(found, dtype=np.float64).reshape(len(matrix), -1)[:, -1]


class OnnxEngine:
    """Loads only what ONNX itself defines: custom operator libraries are never registered."""

    formats = ("onnx",)

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def load(self, manifest: ModelManifest, files: Mapping[str, Path]) -> OnnxModel:
        if len(files) != 1:
            raise InvalidInput("An ONNX model is one file here; save it without external data.")
        name, session = open_session(files, self._threads)
        return OnnxModel(session, _source(name, session, len(manifest.inputs)), _output(name, session))


def open_session(files: Mapping[str, Path], threads: int) -> tuple[str, Any]:
    """The name of the first file and a session over its graph; further files are tensors that the graph keeps outside.

    All are read here and handed over as bytes, so that no path written in a graph is ever opened.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency("onnxruntime", "llm") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    (name, path), *outside = files.items()
    folder = f"{name.rpartition('/')[0]}/".removeprefix("/")
    held = {other.removeprefix(folder): there.read_bytes() for other, there in outside}
    try:
        if held:
            sizes = [len(content) for content in held.values()]
            options.add_external_initializers_from_files_in_memory(list(held), list(held.values()), sizes)
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of unrelated classes
        line = str(error).splitlines()[0][:200]
        raise InvalidInput(f"{name} is not a whole ONNX model: {line}. Export and register it again.") from error
    return name, session


def _source(name: str, session: Any, inputs: int) -> str:
    found = session.get_inputs()
    shape = found[0].shape if len(found) == 1 and found[0].type == "tensor(float)" else []
    # A dimension is a number, or a name or None when it is left open.
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != inputs):
        raise InvalidInput(f"{name} must have one float32 input of shape (rows, {inputs}). Export it that way.")
    return str(found[0].name)


def _output(name: str, session: Any) -> str:
    for output in reversed(session.get_outputs()):
        if output.type in ("tensor(float)", "tensor(double)"):
            return str(output.name)
    raise InvalidInput(f"{name} has no output that is a tensor of floats. Export it without a ZipMap.")
