from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.llm.lane import WHO, Lane
from twinloop.control.security.model import DEFAULT_TENANT, Principal, Role
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import Forbidden, InvalidInput
from twinloop.core.ids import check_name
from twinloop.llm.documents.kind import DocumentKind
from twinloop.llm.documents.model import SourceFile
from twinloop.llm.documents.names import document_name

SHARED = Path(__file__).parents[4] / "shared" / "data" / "documents"


async def test_a_markdown_document_keeps_its_source_and_its_headings(lane: Lane) -> None:
    source = "---\ntitle: x\n---\n# Über `uns`\n\nText with é.\n\nSub\n---\nmore\n\n> # quoted\n"
    done = await lane.ingest("docs", {"a/Über uns.md": source})
    assert done.refused == ()
    revision = await lane.registry.get(WHO, done.documents[0])
    assert await lane.documents.text(WHO, revision.ref) == source
    found = [(h["level"], h["title"], source[h["start"] : h["end"]]) for h in revision.manifest["headings"]]
    assert found == [(1, "Über uns", "# Über `uns`"), (2, "Sub", "Sub\n---")]
    assert revision.manifest["chars"] == len(source)
    assert revision.manifest["title"] == "Über uns"


async def test_the_same_bytes_are_not_read_again_and_changed_bytes_make_the_next_revision(lane: Lane) -> None:
    await lane.ingest("docs", {"a.md": "# A\n\none", "b.txt": "two"})
    again = await lane.ingest("docs", {"a.md": "# A\n\nnew", "b.txt": "two"})
    assert again.documents == ("document/docs/a.md@2", "document/docs/b.txt@1")
    assert again.unchanged == 1


async def test_one_bad_file_does_not_stop_the_others(lane: Lane) -> None:
    done = await lane.ingest(
        "docs",
        {
            "good.md": "fine",
            "bad.pdf": b"%PDF-1.4 broken",
            "bad.txt": b"\xff\xfe\xfa",
            "x.docx": b"PK",
            "empty.md": " ",
        },
    )
    assert done.documents == ("document/docs/good.md@1",)
    assert {refusal.path for refusal in done.refused} == {"bad.pdf", "bad.txt", "x.docx", "empty.md"}
    assert all(refusal.reason.count(".") >= 1 for refusal in done.refused)
    assert len(await lane.registry.revisions(WHO, "document")) == 1


async def test_a_file_that_was_never_uploaded_is_refused(lane: Lane) -> None:
    done = await lane.documents.ingest(WHO, "docs", [SourceFile("a.md", digest_bytes(b"nowhere"))])
    assert "Upload the blob first" in done.refused[0].reason


async def test_a_path_given_twice_is_refused_as_a_whole(lane: Lane) -> None:
    with pytest.raises(InvalidInput, match="each path once"):
        await lane.documents.ingest(WHO, "docs", [SourceFile("a.md", "x"), SourceFile("a.md", "y")])


async def test_a_viewer_may_not_ingest(lane: Lane) -> None:
    with pytest.raises(Forbidden):
        await lane.documents.ingest(Principal("v", DEFAULT_TENANT, Role.viewer), "docs", [])


@pytest.mark.parametrize("path", ["../a.md", "/a.md", "a//b.md", "a/./b.md", "", "a\\b.md", "a\n.md"])
def test_a_path_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="not a path inside a folder"):
        document_name("docs", path)


def test_names_depend_on_the_path_alone_and_never_collide() -> None:
    paths = [
        "a b.md",
        "a-b.md",
        "a_b.md",
        "A-b.md",
        "ä-b.md",
        "-a/..b.md",
        "日本.md",
        "x" * 300 + ".md",
        "x" * 300 + "y.md",
    ]
    names = [document_name("docs", path) for path in paths]
    assert len(set(names)) == len(paths)
    assert names[1] == "docs/a-b.md"
    assert [check_name(name) for name in names] == names


async def test_a_manifest_whose_heading_lies_outside_the_text_is_refused(lane: Lane) -> None:
    done = await lane.ingest("docs", {"a.md": "# A\n\ntext"})
    manifest = (await lane.registry.get(WHO, done.documents[0])).manifest
    wrong = {**manifest, "headings": [{"level": 1, "title": "A", "start": 5, "end": 99}]}
    with pytest.raises(InvalidInput, match="outside the text"):
        DocumentKind().validate(wrong)


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder ../shared/data/documents with third-party files is not here"
)
async def test_third_party_documents_are_read_or_refused_with_a_reason(lane: Lane) -> None:
    files = {f.relative_to(SHARED).as_posix(): f.read_bytes() for f in sorted(SHARED.rglob("*")) if f.is_file()}
    done = await lane.ingest("third", files)
    reasons = {Path(refusal.path).name: refusal.reason for refusal in done.refused}
    assert len(done.documents) + len(done.refused) == len(files)
    assert "encrypted" in reasons["libreoffice-writer-password.pdf"]
    assert "scanned" in reasons["MEDRPT-2024-PAT-3847_medical_report_scan.pdf"]
    assert "not read" in reasons["test.docx"]
    assert not [path for path in reasons if path.endswith((".html", ".htm"))]
    text = await lane.documents.text(WHO, "document/third/mixed/test_wikipedia.html")
    headings = (await lane.registry.get(WHO, "document/third/mixed/test_wikipedia.html")).manifest["headings"]
    assert {"History", "Corporate affairs"} <= {heading["title"] for heading in headings}
    assert all(text[h["start"] : h["end"]].strip() == h["title"] for h in headings if "\xa0" not in h["title"])


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder ../shared/data/documents with third-party files is not here"
)
async def test_the_words_of_a_pdf_are_those_of_its_reference_text(lane: Lane) -> None:
    name = "REPAIR-2022-INV-001_multipage"
    done = await lane.ingest("pdf", {"r.pdf": (SHARED / "mixed" / f"{name}.pdf").read_bytes()})
    words = set((await lane.documents.text(WHO, done.documents[0])).split())
    wanted = {w for w in (SHARED / "mixed" / "expected_outputs" / f"{name}.md").read_text().split() if w.isalnum()}
    assert len(words & wanted) / len(wanted) > 0.95
