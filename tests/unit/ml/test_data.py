from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from tests.unit.ml.lane import ME, Lane, hour, table
from twinloop.core.errors import Forbidden, InvalidInput, NotFound
from twinloop.ml.data.model import FileInput
from twinloop.sdk import tables

ROWS = [{"a": 1, "b": "x", "c": 1.5}, {"a": 2, "b": None, "c": None}, {"a": 2, "b": None, "c": None}]


async def test_same_rows_again_are_the_same_revision_whatever_their_order_and_files(lane: Lane) -> None:
    first = await lane.snapshot("things", ROWS, source={"said": "once"})
    assert (await lane.snapshot("things", ROWS, source={"said": "twice"})).ref == first.ref == "dataset/things@1"
    assert (await lane.snapshot("things", ROWS[::-1])).ref == first.ref
    whole = tables.arrow(ROWS)
    halves = [await lane.upload(tables.parquet_bytes(part)) for part in (whole.slice(0, 1), whole.slice(1))]
    made = await lane.datasets.snapshot(ME, "things", [FileInput(f"p{n}", digest) for n, digest in enumerate(halves)])
    assert made.revision.ref == first.ref


async def test_a_changed_cell_a_repeated_row_and_a_null_make_new_rows(lane: Lane) -> None:
    refs = [(await lane.snapshot("things", ROWS)).ref]
    for changed in (
        ROWS[:2],
        [*ROWS, ROWS[1]],
        [{**ROWS[0], "c": 1.25}, *ROWS[1:]],
        [{**ROWS[0], "b": None}, *ROWS[1:]],
        [{**ROWS[0], "b": "|0"}, *ROWS[1:]],
        [{**ROWS[0], "b": ""}, *ROWS[1:]],
    ):
        refs.append((await lane.snapshot("things", changed)).ref)
    assert refs == [f"dataset/things@{n}" for n in range(1, 8)]


async def test_cells_cannot_run_into_each_other_in_the_row_digest(lane: Lane) -> None:
    one = await lane.snapshot("pairs", [{"a": "x|1", "b": "y"}])
    two = await lane.snapshot("pairs", [{"a": "x", "b": "1y"}])
    three = await lane.snapshot("pairs", [{"a": "x", "b": "|1y"}])
    assert len({one.ref, two.ref, three.ref}) == 3


async def test_a_manifest_says_types_rows_and_time(lane: Lane) -> None:
    rows = [{"n": 1, "f": 0.5, "s": "x", "b": True, "t": datetime(2013, 1, 1, 5, tzinfo=UTC), "d": date(2013, 1, 1)}]
    made = await lane.snapshot("typed", rows, time_column="t", source={"from": "a test"})
    found = {column["name"]: column["type"] for column in made.manifest["schema"]}
    assert found == {"n": "int64", "f": "float64", "s": "string", "b": "bool", "t": "timestamp", "d": "date"}
    assert (made.manifest["rows"], made.manifest["time_column"]) == (1, "t")
    assert await lane.rows("typed") == [
        {"n": 1, "f": 0.5, "s": "x", "b": True, "t": "2013-01-01T05:00:00.000000Z", "d": "2013-01-01"}
    ]


async def test_nan_is_missing(lane: Lane) -> None:
    await lane.snapshot("gaps", {"x": [1.0, math.nan]})
    assert await lane.rows("gaps") == [{"x": 1.0}, {"x": None}]


async def test_a_file_that_is_not_parquet_is_refused_and_nothing_is_registered(lane: Lane) -> None:
    digest = await lane.upload(b"not parquet at all")
    with pytest.raises(InvalidInput, match="cannot be read"):
        await lane.datasets.snapshot(ME, "bad", [FileInput("x", digest)])
    with pytest.raises(NotFound):
        await lane.datasets.get(ME, "bad")


@pytest.mark.parametrize("name", ["../up", "a//b", "", "/etc", "a b"])
async def test_names_cannot_play_path_tricks(lane: Lane, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a name"):
        await lane.snapshot(name, ROWS)


async def test_bad_columns_are_named(lane: Lane) -> None:
    nested = pa.table({"x": pa.array([[1]], pa.list_(pa.int64()))})
    with pytest.raises(InvalidInput, match="'x'"):
        await lane.snapshot("nested", nested)
    with pytest.raises(InvalidInput, match="'__row'"):
        await lane.snapshot("reserved", {"__row": [1]})
    with pytest.raises(InvalidInput, match="no column 'when'"):
        await lane.snapshot("timeless", ROWS, time_column="when")
    with pytest.raises(InvalidInput, match="type int64"):
        await lane.snapshot("timeless", ROWS, time_column="a")


async def test_files_of_one_dataset_must_agree(lane: Lane) -> None:
    parts = [await lane.upload(tables.parquet_bytes(tables.arrow(part))) for part in ([{"a": 1}], [{"a": "x"}])]
    with pytest.raises(InvalidInput, match="File 2"):
        await lane.datasets.snapshot(ME, "mixed", [FileInput(str(n), digest) for n, digest in enumerate(parts)])


async def test_a_blob_that_is_not_there_is_said(lane: Lane) -> None:
    with pytest.raises(NotFound, match="Upload"):
        await lane.datasets.snapshot(ME, "x", [FileInput("p", "sha256:" + "0" * 64)])


async def test_a_viewer_cannot_snapshot(lane: Lane) -> None:
    from twinloop.control.security.model import Principal, Role

    with pytest.raises(Forbidden):
        await lane.datasets.snapshot(
            Principal("v", "default", Role.viewer), "x", [FileInput("p", "sha256:" + "0" * 64)]
        )


async def test_parents_are_kept_and_make_another_revision(lane: Lane) -> None:
    raw = await lane.snapshot("raw", ROWS)
    made = await lane.snapshot("cut", ROWS[:1], parents=[raw.ref])
    assert [(parent.role, parent.digest) for parent in made.parents] == [("derived_from", raw.digest)]
    assert (await lane.snapshot("cut", ROWS[:1])).number == 2


async def test_an_empty_table_is_a_dataset_too(lane: Lane) -> None:
    made = await lane.snapshot("empty", table([], a=pa.int64(), t=pa.timestamp("us")))
    assert made.manifest["rows"] == 0
    assert await lane.rows("empty") == []


def test_csv_with_na_and_utc_times_becomes_canonical(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.csv"
    path.write_text("n,s,t\n1,NA,2013-01-01T05:00:00Z\nNA,b,2013-07-01T05:00:00Z\n")
    found = tables.canonical(tables.arrow(path))
    assert found.to_pylist() == [{"n": 1, "s": None, "t": hour(5)}, {"n": None, "s": "b", "t": datetime(2013, 7, 1, 5)}]


def test_the_same_table_gives_the_same_bytes() -> None:
    assert tables.parquet_bytes(tables.arrow(ROWS)) == tables.parquet_bytes(tables.arrow([dict(row) for row in ROWS]))
