"""Chapter two: answers from documents, with citations, and what changes when a document does."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from twinloop.cli.asking import citation_lines
from twinloop.cli.story.teller import Teller, docs_folder, example
from twinloop.core.errors import NotFound

ENDPOINT = "handbook"
EMBEDDINGS = "minilm"
SECRET = "demo_chat"
_NOWHERE = "Which moons circle the planet Vellorax?"


class Provider(NamedTuple):
    """An OpenAI-compatible provider that writes instead of the small local model; its key is the secret ``demo_chat``."""

    url: str
    model: str
    keyed: bool


class Handbook:
    """What later chapters need of this one: a question, a trace, a cited document, and the two releases."""

    def __init__(self, teller: Teller, copy: Path, documents: Path | None, provider: Provider | None) -> None:
        self._teller = teller
        self._client = teller.client
        self._copy = copy
        self._documents = documents
        self._provider = provider
        self.questions: Any = None
        self.indexed: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.trace = ""
        self.document = ""
        self.first = ""
        self.second = ""

    def tell(self) -> None:
        self._build()
        self._ask_all()
        self._change()

    def ask(self) -> str:
        """One question the documents cannot answer, which costs a search and no generation; returns the release."""
        return str(self._client.chat.ask(ENDPOINT, self._unanswerable)["release"])

    @property
    def _unanswerable(self) -> str:
        return str(self.questions.UNANSWERABLE) if self._documents is None else _NOWHERE

    def _build(self) -> None:
        teller = self._teller
        source = self._documents or docs_folder()
        teller.chapter(f"Handbook: read {source}, cut, embed, index and measure")
        project = example("handbook")
        self._project = project
        self.questions = _module(project.folder / "questions.py")
        shutil.rmtree(self._copy, ignore_errors=True)
        if not source.is_dir():
            raise NotFound(f"There is no folder {source}. Name one with --documents.")
        shutil.copytree(source, self._copy)
        teller.apply(project)
        self._register_provider()
        index = self._index()
        teller.say(f"{index['documents']} documents, {index['chunks']} chunks in {index['index']}")
        teller.chapter(f"Handbook: release to {ENDPOINT}, and the embedder to {EMBEDDINGS}")
        self.first = teller.release(ENDPOINT, pins=self._pins(index["index"]), **self._gate())
        teller.release(EMBEDDINGS)
        teller.remember(f"index {index['index']} over {index['documents']} documents")
        teller.remember(f"endpoint {EMBEDDINGS}, also at /v1/embeddings")

    def _index(self) -> dict[str, Any]:
        """Read the folder and index it; what could not be read is said, with the reason."""
        made = self._teller.run(self._project, "handbook", folder=str(self._copy))
        self._teller.say(f"refused {refused['path']}: {refused['reason']}" for refused in made["documents"]["refused"])
        self.indexed.append(made["index"])
        return self.indexed[-1]

    def _register_provider(self) -> None:
        if self._provider is None:
            return
        secret = {"secret": SECRET} if self._provider.keyed else {}
        manifest = {"engine": "openai", "url": self._provider.url, "model": self._provider.model, **secret}
        self._client.revisions.register("generator", "provider", manifest)

    def _pins(self, index: str) -> dict[str, str]:
        if self._provider is None:
            return {"index": index}
        return {"index": index, "generator": "generator/provider", "prompt": "prompt/handbook-provider"}

    def _gate(self) -> dict[str, Any]:
        """Documents of the user's own are released without a gate: what to ask of them is theirs to say."""
        return {} if self._documents is None else {"gate": ()}

    def _ask_all(self) -> None:
        self._teller.chapter("Handbook: three questions, and one that the documents cannot answer")
        asked = [question.text for question in self.questions.ANSWERABLE]
        questions = asked if self._documents is None else own_questions(self._copy)
        for question in questions:
            answer = self._ask(question)
            if answer["citations"]:
                self.trace, self.document = answer["trace"], answer["citations"][0]["document"]
        self._ask(self._unanswerable)

    def _ask(self, question: str) -> dict[str, Any]:
        """Ask, printing the answer as it comes, then its citations."""
        print(f"          Q: {question}\n          A: ", end="", flush=True)
        text, citations = "", list[Any]()
        last: dict[str, Any] = {}
        for event in self._client.chat.stream(ENDPOINT, question):
            text += event.get("delta", "")
            print(" ".join(event.get("delta", "").splitlines()), end="", flush=True)
            citations.extend(event.get("citations") or ())
            last = event
        print(" (declined)" if last.get("declined") else "", flush=True)
        self._teller.say(f"   {line}" for line in citation_lines(citations))
        self.answers.append({**last, "question": question, "text": text, "citations": citations})
        return self.answers[-1]

    def _change(self) -> None:
        teller = self._teller
        teller.chapter("Handbook: change one document, index only what changed, release, ask again")
        question = self._make_change()
        index = self._index()
        teller.say(f"{index['embedded']} chunks embedded, {index['reused']} reused")
        self.second = teller.release(ENDPOINT, pins=self._pins(index["index"]), **self._gate())
        self._ask(question)
        teller.remember(
            f"endpoint {ENDPOINT} with the releases {self.first} and {self.second}, also at /v1/chat/completions"
        )

    def _make_change(self) -> str:
        if self._documents is None:
            change = self.questions.CHANGE
            change.apply(self._copy)
            self._teller.say(f"{change.path}: {change.old!r} becomes {change.new!r}")
            return str(change.question)
        added = self._copy / "added-by-the-demo.md"
        added.write_text("# Harbour light\n\nThe harbour light of Norrsund was first lit in 1871.\n", encoding="utf-8")
        self._teller.say(f"{added.name} is added")
        return "When was the harbour light of Norrsund first lit?"


def own_questions(folder: Path) -> list[str]:
    """Three questions for any folder: about the titles that its documents give themselves."""
    from twinloop.sdk.documents import document_files

    titles = []
    for file in document_files(folder):
        text = file.read_text(encoding="utf-8", errors="replace") if file.suffix.lower() == ".md" else ""
        headings = [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]
        titles.append(headings[0] if headings else file.stem.replace("-", " ").replace("_", " "))
    return [f"What is said about {title}?" for title in titles[:3]]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("twinloop_handbook_questions", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise NotFound(f"There is no {path}. The demo needs Twinloop's checkout: clone it and run make demo there.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
