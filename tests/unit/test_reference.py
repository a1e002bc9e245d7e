"""The committed reference is what the code says now."""

from __future__ import annotations

import tempfile

import pytest
from scripts import write_reference


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return write_reference.pages()


@pytest.mark.parametrize("name", ["cli.md", "settings.md", "http.md", "mlflow.md", "errors.md", "python.md"])
def test_the_committed_reference_is_what_the_code_says_now(pages: dict[str, str], name: str) -> None:
    committed = (write_reference.FOLDER / name).read_text(encoding="utf-8")

    assert committed == pages[name], "the code and docs/reference differ; run: make docs"


def test_every_error_code_is_in_the_reference(pages: dict[str, str]) -> None:
    from twinloop.core import errors

    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TwinloopError)
    ]

    assert all(f"`{kind.code}`" in pages["errors.md"] for kind in kinds)


def test_every_row_of_a_table_is_one_line(pages: dict[str, str]) -> None:
    assert not [
        line for text in pages.values() for line in text.splitlines() if line.startswith("|") != line.endswith("|")
    ]


def test_the_command_line_is_written_as_it_is_typed(pages: dict[str, str]) -> None:
    assert "name LIKE 'churn%' AND" in pages["cli.md"]
    assert "| -m, --message MESSAGE |" in pages["cli.md"]


def test_the_reference_names_no_folder_of_this_machine(pages: dict[str, str]) -> None:
    assert not [
        name for name, text in pages.items() if str(write_reference.ROOT) in text or tempfile.gettempdir() in text
    ]
