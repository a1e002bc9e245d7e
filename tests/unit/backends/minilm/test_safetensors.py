from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from twinloop.backends.minilm.safetensors import read_float32
from twinloop.core.errors import InvalidInput


def write(path: Path, header: dict[str, object], body: bytes) -> Path:
    text = msgspec.json.encode(header)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def test_float32_tensors_are_read_by_name_and_shape(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4")
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]},
        "ids": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
    }
    tensors = read_float32(write(tmp_path / "m.safetensors", header, bytes(8) + values.tobytes()))
    assert list(tensors) == ["a"]
    assert tensors["a"].tolist() == values.reshape(2, 3).tolist()


def test_a_tensor_outside_the_file_is_refused(tmp_path: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    with pytest.raises(InvalidInput, match="outside the file"):
        read_float32(write(tmp_path / "m.safetensors", header, bytes(4)))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"<html>not a model</html>")
    with pytest.raises(InvalidInput, match="not a safetensors file"):
        read_float32(tmp_path / "m.safetensors")
