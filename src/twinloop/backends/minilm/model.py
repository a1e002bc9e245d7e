"""Turn the published weights into a file onnxruntime runs, once per machine."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from twinloop.backends.minilm.graph import Precision
from twinloop.backends.weights import CATALOG, Catalog, Progress
from twinloop.core.digests import Digest, digest_json
from twinloop.core.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    import onnxruntime

SOURCE = "all-MiniLM-L6-v2"
PRECISIONS: dict[str, Precision] = {f"{SOURCE}-int8": "int8", f"{SOURCE}-float32": "float32"}
MAX_TOKENS = 256
CONVERTER_VERSION = 1  # raise it whenever the same weights would give other vectors


class Model(msgspec.Struct, frozen=True):
    """Files ready to open. ``digest`` is the embedder's identity."""

    onnx: Path
    tokenizer: Path
    digest: Digest


def precision_of(weights: str) -> Precision:
    """Raises InvalidInput when ``weights`` is none of the names this engine makes."""
    try:
        return PRECISIONS[weights]
    except KeyError:
        raise InvalidInput(
            f"The engine minilm-onnx has no weights {weights[:80]!r}. Choose one of: {', '.join(PRECISIONS)}."
        ) from None


def prepare(weights: str, weights_dir: Path, catalog: Catalog = CATALOG, progress: Progress | None = None) -> Model:
    """Fetch the weights, convert them unless an equal conversion lies in the cache, and name the result; blocks.

    Raises:
        InvalidInput: unknown ``weights``.
        MissingDependency: onnx or numpy is not installed.
        Unavailable, StorageFull, StorageUnreadable: as ``Catalog.fetch``.
    """
    precision = precision_of(weights)
    entry = catalog.entry(SOURCE)
    digest = digest_json(
        {
            "files": {file.name: file.sha256 for file in entry.files},
            "converter": CONVERTER_VERSION,
            "precision": precision,
            "max_tokens": MAX_TOKENS,
            "pooling": "mean",
        }
    )
    paths = catalog.fetch(SOURCE, weights_dir, progress)
    target = weights_dir / SOURCE / "onnx" / f"{precision}-{digest.partition(':')[2][:16]}.onnx"
    if not target.exists():
        _convert(paths["model.safetensors"], target, precision)
    return Model(target, paths["tokenizer.json"], digest)


def _convert(safetensors: Path, target: Path, precision: Precision) -> None:
    """Write ``target`` at once; a second process that converts at the same time waits and finds it done."""
    try:
        import onnx
    except ImportError as error:
        raise MissingDependency("onnx", "llm") from error
    from twinloop.backends.minilm.graph import build
    from twinloop.backends.minilm.safetensors import read_float32

    target.parent.mkdir(exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return
        part = target.with_suffix(".part")
        part.write_bytes(build(read_float32(safetensors), precision).SerializeToString())
        onnx.checker.check_model(str(part))
        part.replace(target)


def open_session(model: Model, threads: int) -> onnxruntime.InferenceSession:
    """A session whose threads sleep when idle.

    Raises:
        MissingDependency: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("onnxruntime", "llm") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model.onnx), options, providers=["CPUExecutionProvider"])
