"""Twinloop inside a program: a relative home, and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

import twinloop
from twinloop.core.errors import Unauthenticated


def test_documents_are_read_when_the_home_is_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "note.md").write_text("# A note\n\nIt says something.\n")

    with twinloop.connect(home=".twinloop") as client:
        taken = client.documents.ingest("notes", "documents")

    assert taken["refused"] == []
    assert taken["documents"] == ["document/notes/note.md@1"]


def test_a_key_opens_an_embedded_home_that_has_keys(tmp_path: Path) -> None:
    with twinloop.connect(home=tmp_path / "home") as client:
        secret = client.call("POST", "/api/v1/keys", {"name": "me", "role": "admin"})["secret"]

    with twinloop.connect(home=tmp_path / "home", key=secret) as client:
        assert client.status()["principal"] == "me"
    with twinloop.connect(home=tmp_path / "home") as client, pytest.raises(Unauthenticated):
        client.status()
