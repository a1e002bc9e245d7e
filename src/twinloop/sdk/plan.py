"""``apply``: what a project declares against what the registry has, and the difference made good."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from twinloop.control.pipelines.errors import DefinitionError
from twinloop.core.digests import canonical_json
from twinloop.core.errors import NotFound, UpstreamError
from twinloop.sdk.client import Client
from twinloop.sdk.definitions import Corpus, Dataset, Declaration
from twinloop.sdk.project import Project, reference

if TYPE_CHECKING:
    from twinloop.ml.features.model import FeatureView

_SIGNS = {"create": "+", "change": "~", "unchanged": "="}
_SHOWN = 60
_CHUNK = 2**20


class FieldChange(NamedTuple):
    """One field of a manifest, or one file of a corpus, before and after; None where there is none."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.before)} -> {_short(self.after)}"


class Item(NamedTuple):
    """What has to happen to one declared thing. ``make`` does it and returns what there is then, in words."""

    ref: str
    action: Literal["create", "change", "unchanged"]
    changes: tuple[FieldChange, ...]
    make: Callable[[], str] | None


class Plan(NamedTuple):
    project: str
    items: tuple[Item, ...]

    @property
    def changes(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.make is not None)

    def lines(self) -> Iterator[str]:
        """The plan for a reader: a line per thing that is not as declared, its fields below it, and a summary."""
        for item in self.changes:
            yield f"{_SIGNS[item.action]} {item.ref}"
            if item.action == "change":
                yield from (f"    {change}" for change in item.changes)
        counts = Counter(item.action for item in self.items)
        if not self.changes:
            yield f"{self.project}: nothing to change; {counts['unchanged']} declared."
        else:
            yield f"{self.project}: {counts['create']} to create, {counts['change']} to change, {counts['unchanged']} unchanged."

    def to_json(self) -> dict[str, Any]:
        items = [
            {"ref": item.ref, "action": item.action, "changes": [change._asdict() for change in item.changes]}
            for item in self.items
        ]
        return {"project": self.project, "items": items}


@contextmanager
def planned(client: Client, project: Project) -> Iterator[Plan]:
    """Compare what ``project`` declares with what there is, changing nothing. The plan can be applied inside the block.

    Raises:
        DefinitionError: a declaration is wrong or names a file that is not there.
    """
    with tempfile.TemporaryDirectory() as downloads:
        items = [_item(client, project, declared, Path(downloads)) for declared in project.declarations]
        yield Plan(project.name, tuple(items))


def apply(plan: Plan) -> Iterator[str]:
    """Change what the plan says and nothing else; yields a line when each item is done."""
    for item in plan.changes:
        if item.make is not None:
            yield f"{_SIGNS[item.action]} {item.make()}"


def _item(client: Client, project: Project, declared: Declaration | FeatureView, downloads: Path) -> Item:
    if isinstance(declared, Dataset):
        return _dataset(client, project, declared, downloads)
    if isinstance(declared, Corpus):
        return _corpus(client, project, declared)
    return _static(client, reference(declared), _manifest(declared))


def _manifest(declared: Any) -> dict[str, Any]:
    """The manifest of something that is wholly described by its declaration."""
    made = declared.manifest() if hasattr(declared, "manifest") else msgspec.to_builtins(declared)
    return msgspec.json.decode(canonical_json(made), type=dict[str, Any])


def _static(client: Client, ref: str, manifest: dict[str, Any]) -> Item:
    kind, _, name = ref.partition("/")

    def make() -> str:
        return str(client.revisions.register(kind, name, manifest)["ref"])

    newest = _newest(client, ref)
    if newest is None:
        return Item(ref, "create", (), make)
    changes = tuple(_differences("", newest["manifest"], manifest))
    return Item(ref, "change", changes, make) if changes else Item(ref, "unchanged", (), None)


def _dataset(client: Client, project: Project, declared: Dataset, downloads: Path) -> Item:
    """A dataset is as declared when its newest revision was made from the same bytes and with the same time column."""
    if declared.url is None:
        path, said = project.folder / str(declared.path), {"file": Path(str(declared.path)).name}
        if not path.is_file():
            raise DefinitionError(f"Dataset {declared.name}: there is no file {declared.path} in {project.folder}.")
    else:
        path, said = _download(declared.url, downloads), {"url": declared.url}
    source = {**said, "digest": _digest(path)}

    def make() -> str:
        made = client.data.snapshot(declared.name, path, time_column=declared.time_column, source=source)
        same = made["manifest"].get("source", {}).get("digest") != source["digest"]
        return f"{made['ref']}, {made['manifest']['rows']} rows" + (", the same rows as before" if same else "")

    newest = _newest(client, declared.ref)
    if newest is None:
        return Item(declared.ref, "create", (), make)
    had, wanted = newest["manifest"].get("source", {}).get("digest"), source["digest"]
    before = {"content": had, "time_column": newest["manifest"].get("time_column")}
    after = {"content": wanted, "time_column": declared.time_column}
    changes = tuple(_differences("", before, after))
    return Item(declared.ref, "change", changes, make) if changes else Item(declared.ref, "unchanged", (), None)


def _corpus(client: Client, project: Project, declared: Corpus) -> Item:
    """A corpus is as declared when the newest revision of each of its documents was made from the same bytes."""
    from twinloop.llm.documents.names import document_name
    from twinloop.sdk.documents import document_files

    folder = project.folder / declared.folder
    if not folder.is_dir():
        raise DefinitionError(f"Corpus {declared.name}: there is no folder {declared.folder} in {project.folder}.")
    changes = []
    known = 0
    for path in document_files(folder):
        inside = path.relative_to(folder)
        newest = _newest(client, f"document/{document_name(declared.name, inside.as_posix())}")
        had = None if newest is None else newest["manifest"]["files"]["original"]["digest"]
        known += had is not None
        if had != (now := _digest(path)):
            changes.append(FieldChange(inside.as_posix(), had, now))

    def make() -> str:
        done = client.documents.ingest(declared.name, folder)
        refused = "".join(f"; {refusal['path']} refused: {refusal['reason']}" for refusal in done["refused"])
        return f"{declared.ref}: {len(done['documents'])} documents, {done['unchanged']} of them unchanged{refused}"

    if not changes:
        return Item(declared.ref, "unchanged", (), None)
    return Item(declared.ref, "change" if known else "create", tuple(changes), make)


def _newest(client: Client, ref: str) -> dict[str, Any] | None:
    try:
        return client.revisions.get(ref)
    except NotFound:
        return None


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """The leaves in which two JSON values differ, named by their path; None stands for nothing."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _differences(f"{path}.{key}" if path else key, before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        for position in range(max(len(before), len(after))):
            pair = [value[position] if position < len(value) else None for value in (before, after)]
            yield from _differences(f"{path}[{position}]", *pair)
    elif before != after or type(before) is not type(after):
        yield FieldChange(path, before, after)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _download(url: str, folder: Path) -> Path:
    """Fetch a table; it keeps the name it has in the URL, whose ending says what it is."""
    import urllib3

    name = urllib3.util.parse_url(url).path or ""
    path = folder / hashlib.sha256(url.encode()).hexdigest()[:8] / Path(name).name
    path.parent.mkdir()
    try:
        response = urllib3.PoolManager().request("GET", url, preload_content=False, timeout=60)
    except urllib3.exceptions.HTTPError as error:
        raise UpstreamError(f"{url} cannot be fetched ({type(error).__name__}). Check it and try again.") from error
    with path.open("wb") as file:
        for chunk in response.stream(_CHUNK):
            file.write(chunk)
    response.release_conn()
    if response.status != 200:
        raise UpstreamError(f"{url} answered {response.status}. Check the address and try again.")
    return path
