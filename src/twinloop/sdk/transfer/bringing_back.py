"""Brings an exported folder into a home: verified first, then applied in order, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from twinloop.control.artifacts.paths import join
from twinloop.control.transfer.model import Row, Scope, Sum
from twinloop.control.transfer.service import SHAPES
from twinloop.control.transfer.shape import sum_of
from twinloop.core.errors import Conflict
from twinloop.sdk.transfer.errors import BadFolder
from twinloop.sdk.transfer.folder_reader import FolderReader, chunks_of
from twinloop.sdk.transfer.layout import CARD, RECORDS, REVISION, TRACES, TRACKING
from twinloop.sdk.transfer.registry_docs import Document, rows_of
from twinloop.sdk.transfer.renumbering import Renumbering
from twinloop.sdk.transfer.report import Line, Report, Tally
from twinloop.sdk.transfer.sink import Sink, Tables, merged

_ROWS = 5_000
_DOCUMENTS = 200
_TOLD = 5
_KEY = ("kind", "name", "number")

Progress = Callable[[str], None]
T = TypeVar("T")


class BringBack:
    """One import of a folder. ``writing`` False compares only."""

    def __init__(
        self,
        folder: FolderReader,
        sink: Sink,
        *,
        target: str,
        writing: bool = True,
        progress: Progress = lambda text: None,
    ) -> None:
        self._folder = folder
        self._sink = sink
        self._target = target
        self._writing = writing
        self._progress = progress
        self._renumber: Renumbering

    def run(self) -> Report:
        """Take what is not here, then say how both sides compare.

        Raises:
            BadFolder: a file is missing or was changed; nothing was taken.
            Conflict: a number or title is taken by something else here; nothing was taken.
        """
        self._folder.verify(self._progress)
        self._renumber = Renumbering(list(self._folder.rows("experiments")), list(self._sink.rows("experiments")))
        order = self._ordered()
        self._refuse_conflicts()
        if self._writing:
            self._put_blobs()
            self._put_rows(TRACKING)
            self._put_registry(order)
            self._put_rows((*TRACES, *RECORDS))
        self._progress("comparing both sides")
        lines = [self._compare(shape) for shape in (*TRACKING, *CARD, *REVISION, *TRACES, *RECORDS)]
        return Report(
            source=str(self._folder.folder),
            target=self._target,
            lines=tuple(line for line in lines if line.there.count),
            refused=tuple(self._sink.refused),
        )

    def _rows(self, shape: str) -> Iterator[Row]:
        """The rows of a shape as they are to be here."""
        if shape in CARD or shape in REVISION:
            documents = self._folder.documents("card" if shape in CARD else "revision")
            found: Iterable[Row] = (row for document in documents for row in _rows_of(document)[shape])
        else:
            found = self._folder.rows(shape)
        for row in found:
            if shape == "artifacts" and self._folder.artifact(join(row["folder"], row["name"])) != row["digest"]:
                raise BadFolder(f"The artifact {row['folder']}/{row['name']} is not among the files of the folder.")
            yield self._renumber(shape, row)

    def _put_rows(self, shapes: Sequence[str]) -> None:
        for shape in shapes:
            waiting: list[Row] = []
            for row in self._rows(shape):
                waiting.append(row)
                if len(waiting) >= _ROWS:
                    self._put({shape: waiting})
                    waiting = []
            self._put({shape: waiting})

    def _put_registry(self, order: Sequence[str]) -> None:
        """Names first, then revisions after what they were made from, then what points at them."""
        cards = list(self._folder.documents("card"))
        later = ("aliases", "registry_events")
        for part in _parts(cards, _DOCUMENTS):
            self._put({shape: rows for shape, rows in self._tables(part).items() if shape not in later})
        for paths in _parts(order, _DOCUMENTS):
            self._put(self._tables([self._folder.document(path) for path in paths]))
        for part in _parts(cards, _DOCUMENTS):
            self._put({shape: rows for shape, rows in self._tables(part).items() if shape in later})

    def _tables(self, documents: Sequence[Document]) -> dict[str, list[Row]]:
        found = merged(_rows_of(document) for document in documents)
        return {shape: [self._renumber(shape, row) for row in rows] for shape, rows in found.items()}

    def _put(self, tables: Tables) -> None:
        if any(tables.values()):
            self._progress(f"taking {', '.join(shape for shape, rows in tables.items() if rows)}")
            self._sink.put(tables)

    def _put_blobs(self) -> None:
        for part in _parts(self._folder.blobs(), _DOCUMENTS):
            here = self._sink.sizes(blob.digest for blob in part)
            for blob in part:
                if blob.digest not in here:
                    self._progress(f"taking {blob.path}")
                    headers = {"content-length": str(blob.size)}
                    content = chunks_of(self._folder.place(blob.path))
                    self._sink.client.call("PUT", f"/api/v1/blobs/{blob.digest}", content=content, headers=headers)

    def _ordered(self) -> list[str]:
        """Paths of the revisions' documents, each after those of its parents that are in the folder."""
        parents: dict[str, list[str]] = {}
        paths: dict[str, str] = {}
        for path in sorted(self._folder.files):
            if not path.startswith("registry/") or path.endswith("@card.json"):
                continue
            for row in _rows_of(self._folder.document(path))["revisions"]:
                paths[row["digest"]] = path
                parents[row["digest"]] = [parent["digest"] for parent in row["parents"]]
        done: dict[str, None] = {}
        for digest in paths:
            waiting = [(digest, False)]
            under_way: set[str] = set()
            while waiting:
                current, ready = waiting.pop()
                if ready:
                    done.setdefault(current)
                elif current not in done and current not in under_way:
                    under_way.add(current)
                    waiting.append((current, True))
                    waiting += [
                        (parent, False) for parent in parents[current] if parent in paths and parent not in done
                    ]
        return [paths[digest] for digest in done]

    def _refuse_conflicts(self) -> None:
        """Numbers and titles that something else has here: better to take nothing than a part."""
        wrong: list[str] = []
        for part in _parts(self._rows("revisions"), _ROWS):
            places: list[Scope] = [tuple(row[name] for name in _KEY) for row in part]
            held = {
                tuple(row[name] for name in _KEY): row["digest"] for row in self._sink.rows("revisions", places, _KEY)
            }
            for place, row in zip(places, part, strict=True):
                if held.get(place, row["digest"]) != row["digest"]:
                    wrong.append("{}/{}@{} is another revision here".format(*place))
        titles = {
            (row["shelf"], row["title"]): (row["kind"], row["name"])
            for row in self._sink.rows("cards")
            if not row["deleted"]
        }
        for row in self._rows("cards"):
            own = (row["kind"], row["name"])
            if not row["deleted"] and titles.get((row["shelf"], row["title"]), own) != own:
                wrong.append(
                    f"the title {row['title']!r} is that of {'/'.join(titles[row['shelf'], row['title']])} here"
                )
        if wrong:
            more = f", and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
            raise Conflict(f"Nothing was taken: {'; '.join(wrong[:_TOLD])}{more}. Bring it into an empty home.")

    def _compare(self, shape: str) -> Line:
        """Rows of the folder beside those of the same key here; what else is here does not count."""
        tally, kind = Tally(shape.replace("_", " ")), SHAPES[shape]
        for part in _parts(self._rows(shape), _ROWS):
            scopes: dict[Scope, list[Row]] = {}
            for row in part:
                scopes.setdefault(tuple(row[name] for name in kind.scope), []).append(row)
            wanted = {tuple(kind.key_of(row)) for row in part}
            here: dict[Scope, list[Row]] = {}
            for row in self._sink.rows(shape, list(scopes)):
                if tuple(kind.key_of(row)) in wanted:
                    here.setdefault(tuple(row[name] for name in kind.scope), []).append(row)
            tally.compare(_sums(shape, scopes), _sums(shape, here))
        return tally.line(self._sink.added[shape])


def _sums(shape: str, scopes: dict[Scope, list[Row]]) -> dict[str, Sum]:
    return {"/".join(map(str, scope)): sum_of(SHAPES[shape], rows) for scope, rows in scopes.items()}


def _rows_of(document: Document) -> dict[str, list[Row]]:
    try:
        return rows_of(document)
    except (KeyError, TypeError) as error:
        raise BadFolder(f"A document of the registry has another form than it should ({error!r}).") from error


def _parts(items: Iterable[T], many: int) -> Iterator[list[T]]:
    part: list[T] = []
    for item in items:
        part.append(item)
        if len(part) >= many:
            yield part
            part = []
    if part:
        yield part
