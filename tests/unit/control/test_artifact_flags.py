from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator
from typing import Any

import numpy
import pytest

from twinloop.control.artifacts.flags import HEAD, Looking, flag_of


class Nested:
    pass


VALUES = [None, 1, "text", [1, 2], {"a": 1}, (1,), Nested(), numpy.arange(3), len, b"x" * 300]


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return out.getvalue()


def saved(array: Any, **more: Any) -> bytes:
    out = io.BytesIO()
    numpy.save(out, array, **more)
    return out.getvalue()


def safetensors(header: int) -> bytes:
    return struct.pack("<Q", header) + json.dumps({"__metadata__": {}}).encode().ljust(header) + bytes(100)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_pickle_is_known_by_its_first_bytes_whatever_its_name(value: Any, protocol: int) -> None:
    assert flag_of("a/model.onnx", pickle.dumps(value, protocol)) == "pickle"


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("value", [Nested(), len, numpy.arange(3)], ids=lambda value: type(value).__name__)
def test_an_old_pickle_that_calls_something_is_known(value: Any, protocol: int) -> None:
    assert flag_of("model.bin", pickle.dumps(value, protocol)) == "pickle"
    assert flag_of("model.bin", pickle.dumps([value] * 100_000, protocol)[:HEAD]) == "pickle"


def test_a_call_behind_something_harmless_is_known() -> None:
    assert flag_of("model.bin", b"I1\n0cos\nsystem\n(S'true'\ntR.") == "pickle"


def test_a_call_before_something_that_is_no_pickle_is_known() -> None:
    """It has been made when the unpickler comes to what it cannot read."""
    assert flag_of("model.bin", b"cos\nsystem\n(S'true'\ntR\xff\xff") == "pickle"
    assert flag_of("model.bin", b"(S'true'\nios\nsystem\n\xff\xff") == "pickle"


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, zlib.compress, bz2.compress, lzma.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)],
)
def test_a_compressed_pickle_is_known(compress: Any) -> None:
    assert flag_of("model", compress(pickle.dumps(numpy.arange(1000)))) == "compressed pickle"
    assert flag_of("data.csv.gz", compress(b"a,b\n1,2\n" * 1000)) is None


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)], ids=str)
def test_what_joblib_writes_is_known(compress: Any, tmp_path: Any) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump({"weights": numpy.arange(1000)}, tmp_path / "model", compress=compress)
    assert flag_of("model", (tmp_path / "model").read_bytes()[:HEAD]) in ("pickle", "compressed pickle")


@pytest.mark.parametrize(
    ("path", "flag"),
    [
        ("model.pkl", "pickle"),
        ("a.b/MODEL.PICKLE", "pickle"),
        ("x.joblib", "joblib (pickle)"),
        ("x.pt", "torch (pickle)"),
        ("x.pth", "torch (pickle)"),
        ("x.ckpt", "torch (pickle)"),
        ("x.h5", "keras (may hold Python functions)"),
        ("x.keras", "keras (may hold Python functions)"),
    ],
)
def test_a_name_says_it_where_the_bytes_do_not(path: str, flag: str) -> None:
    assert flag_of(path, b"\x89whatever") == flag


def test_a_torch_file_is_known_by_the_pickle_in_it() -> None:
    assert flag_of("pytorch_model.bin", zipped("archive/data.pkl", "archive/data/0")) == "torch (pickle)"
    assert flag_of("weights", zipped("data.pkl")) == "torch (pickle)"
    assert flag_of("archive.zip", zipped("a.txt", "metadata.pkl.txt")) is None


def test_arrays_of_objects_are_known_and_arrays_of_numbers_are_not() -> None:
    assert flag_of("a.npy", saved(numpy.array([{}, []], dtype=object), allow_pickle=True)) == "numpy objects (pickle)"
    assert flag_of("a.npy", saved(numpy.arange(10))) is None


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\x80", b"\x80\x04", b"\x08\x07\x12\x07pytorch", b"{}", b"binf\x00", b"GGUF\x03\x00\x00\x00", b"\x89PNG\r\n\x1a\n",
        b"PAR1", b"(a, b)\n1, 2\n", b"class A:\n    pass\n", b"import os\n", b"\x1f\x8b", b"BZh", b"\x78\x9c",
        b"catboost\nmodel\n", b"cloudpickle\nnumpy\nscipy\nxgboost\n", b"count\nitem\n" * 10_000,
        b"line\n" * 20_000, b"line\nline\n", b"imp\nurllib\n", b"(dp0\n", b"cat\ndog\nRed\n", b"cat\ndog\npig\n" * 10_000,
        *(safetensors(size) for size in (640, 896, 1152, 1408)),
    ],
)  # fmt: skip
def test_what_is_no_pickle_is_not_flagged(head: bytes) -> None:
    assert flag_of("model.bin", head) is None


async def test_a_stream_is_passed_on_while_its_first_bytes_are_kept() -> None:
    parts = [b"a" * 1000, b"b" * HEAD, b"c" * 10]

    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    looking = Looking(stream())
    assert [chunk async for chunk in looking] == parts
    assert looking.head == b"".join(parts)[:HEAD]
