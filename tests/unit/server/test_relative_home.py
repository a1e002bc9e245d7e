"""The default home is a relative path; nothing may depend on the working directory of a child process."""

from __future__ import annotations

from pathlib import Path

import pytest

import twinloop


def test_documents_are_read_when_the_home_is_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "note.md").write_text("# A note\n\nIt says something.\n")

    with twinloop.connect(home=".twinloop") as client:
        taken = client.documents.ingest("notes", "documents")

    assert taken["refused"] == []
    assert taken["documents"] == ["document/notes/note.md@1"]
