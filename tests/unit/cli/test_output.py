"""Tables, rows from files, and the words around an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twinloop.cli.asking import citation_lines, print_stream
from twinloop.cli.output import facts, table
from twinloop.cli.predicting import read_rows
from twinloop.cli.releases import condition
from twinloop.core.errors import InvalidInput, UpstreamError


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    assert table(["NAME", "N"], [["a", 5], ["bcdef", 123], ["x", None]]) == [
        "NAME     N",
        "a        5",
        "bcdef  123",
        "x        -",
    ]


def test_a_table_without_rows_is_its_headers() -> None:
    assert table(["A", "B"], []) == ["A  B"]


def test_facts_are_aligned() -> None:
    assert facts({"a": 1, "longer": None}) == ["a       1", "longer  -"]


def test_a_condition_is_a_metric_and_a_bound() -> None:
    assert condition("auc>=0.65").at_least == 0.65
    assert condition(" brier <= 2e-1 ").at_most == 0.2
    assert condition("delta_auc>=0", "model/base@1").baseline == "model/base@1"
    assert condition("auc>=0", "model/base@1").baseline is None


@pytest.mark.parametrize("text", ["auc", "auc>0.5", "auc>=high", ">=1", "auc>=1e", ""])
def test_words_that_are_not_conditions_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Write metric>=number"):
        condition(text)


def test_rows_are_read_from_csv_json_and_lines(tmp_path: Path) -> None:
    csv, plain, lines = tmp_path / "a.csv", tmp_path / "a.json", tmp_path / "a.jsonl"
    csv.write_text("carrier,hour,dep\nUA,5,\nAA,6,2.5\n")
    plain.write_text('[{"carrier": "UA", "hour": 5, "dep": null}, {"carrier": "AA", "hour": 6, "dep": 2.5}]')
    lines.write_text('{"carrier": "UA", "hour": 5, "dep": null}\n{"carrier": "AA", "hour": 6, "dep": 2.5}\n')
    expected = [{"carrier": "UA", "hour": 5, "dep": None}, {"carrier": "AA", "hour": 6, "dep": 2.5}]
    assert read_rows(csv) == read_rows(plain) == read_rows(lines) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"x"),
        ("a.json", b'{"a": 1}'),
        ("a.json", b"[1]"),
        ("a.json", b"[]"),
        ("a.json", b"\xff"),
        ("a.jsonl", b"{"),
        ("a.csv", b"a,b\n1\n"),
        ("a.csv", b"a,b\n1,2,3\n"),
        ("a.csv", b"a,b\n"),
    ],
)
def test_files_that_hold_no_rows_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput):
        read_rows(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_rows(tmp_path / "none.json")


CITATION: dict[str, Any] = {
    "number": 1,
    "document": "document/handbook/a.md@2",
    "heading": ["A", "B"],
    "start": 10,
    "end": 20,
    "quote": "several\n  words",
}


def test_citations_are_numbered_and_name_document_heading_and_characters() -> None:
    assert list(citation_lines([CITATION])) == [
        "[1] document/handbook/a.md@2 › A › B, characters 10 to 20",
        "    several words",
    ]


def test_a_stream_is_printed_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    events = [{"delta": "It "}, {"delta": "is [1].", "citations": [CITATION]}, {"done": True, "release": "h@1"}]
    citations, last = print_stream(events)
    assert capsys.readouterr().out == "It is [1].\n"
    assert citations == [CITATION]
    assert last["release"] == "h@1"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="broke off"):
        print_stream([{"delta": "It "}])
