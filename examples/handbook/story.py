"""The handbook's story: index a folder, ask, decline, change one document, index only that, ask again.

``python examples/handbook/story.py [FOLDER]`` tells it against the Twinloop that TWINLOOP_URL or the home says.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import twinloop as tl
from twinloop.sdk.plan import apply, planned
from twinloop.sdk.project import Project, load_project

HERE = Path(__file__).parent
Say = Callable[[str], None]


class Provider(NamedTuple):
    """An OpenAI-compatible generator instead of the small one; ``secret`` names the server's key for it."""

    url: str
    model: str
    secret: str | None = None


class Told(NamedTuple):
    """What the story left behind: trace ids of its answers, the document it changed, and both releases."""

    answered: list[str]
    declined: str
    changed: str
    releases: list[str]
    indexed: list[dict[str, Any]]


def tell(client: tl.Client, docs: Path, say: Say = print, provider: Provider | None = None) -> Told:
    """Run the whole story over a copy of the folder ``docs``.

    When ``docs`` does not hold the document that the story changes (any folder of the user's), the change is left out.
    """
    project = load_project(HERE)
    questions = import_module("questions")
    with planned(client, project) as plan:
        for line in apply(plan):
            say(f"  {line}")
    with tempfile.TemporaryDirectory() as copies:
        folder = Path(copies) / "docs"
        shutil.copytree(docs, folder)
        indexed = [_index(client, project, folder, say)]
        releases = [_release(client, project, provider, "first index", say)]
        answered = [_ask(client, question.text, say)["trace"] for question in questions.ANSWERABLE]
        declined = _ask(client, questions.UNANSWERABLE, say)["trace"]
        change = questions.CHANGE
        changed = ""
        if (folder / change.path).is_file():
            answered.append(_ask(client, change.question, say)["trace"])
            change.apply(folder)
            say(f"  changed {change.path}: {change.old!r} -> {change.new!r}")
            indexed.append(_index(client, project, folder, say))
            releases.append(_release(client, project, provider, "one document changed", say))
            last = _ask(client, change.question, say)
            answered.append(last["trace"])
            changed = last["citations"][0]["document"] if last["citations"] else ""
    return Told(answered, declined, changed, releases, indexed)


def _index(client: tl.Client, project: Project, folder: Path, say: Say) -> dict[str, Any]:
    done = client.pipelines.run(
        project.pipeline("handbook"), {"folder": str(folder)}, progress=lambda step: say(f"  {step.line()}")
    ).value
    made = done["index"]
    for refusal in done["documents"]["refused"]:
        say(f"  refused {refusal['path']}: {refusal['reason']}")
    recall = done["evidence"]["estimates"][0]
    say(
        f"  {made['index']}: {made['documents']} documents, {made['chunks']} chunks; {made['embedded']} embedded, "
        f"{made['reused']} reused, {made['removed']} removed"
    )
    say(f"  {recall['metric']} {recall['value']:.2f} [{recall['low']:.2f}, {recall['high']:.2f}], n={recall['n']}")
    found: dict[str, Any] = made
    return found


def _release(client: tl.Client, project: Project, provider: Provider | None, reason: str, say: Say) -> str:
    declared = {item.name: item for item in project.declarations if isinstance(item, tl.Endpoint)}
    pins = dict(declared["handbook"].pins)
    if provider is not None:
        manifest = {"engine": "openai", "url": provider.url, "model": provider.model}
        secret = {} if provider.secret is None else {"secret": provider.secret}
        pins["generator"] = client.revisions.register("generator", "provider", {**manifest, **secret})["ref"]
        pins["prompt"] = "prompt/handbook-provider"
    gate = tuple(declared["handbook"].gate)
    made = client.endpoints.release("handbook", "chat", pins, gate=gate, reason=reason)
    if "minilm" not in {endpoint["name"] for endpoint in client.endpoints.list()}:
        client.endpoints.release("minilm", "embed", declared["minilm"].pins, reason=reason)
    say(f"  released {made['ref']}, gate: {made['gate']['verdict']}")
    return str(made["ref"])


def _ask(client: tl.Client, question: str, say: Say) -> dict[str, Any]:
    """Ask, streamed; returns the last event with text and citations."""
    say(f"  ? {question}")
    text, citations, last = "", [], {}
    for event in client.chat.stream("handbook", question):
        text += event.get("delta", "")
        citations += event.get("citations", [])
        last = event
    say(f"  > {text}")
    for citation in citations:
        place = " > ".join(citation["heading"])
        say(
            f"    [{citation['number']}] {citation['document']}, {place}, characters {citation['start']}-{citation['end']}"
        )
    return {**last, "text": text, "citations": citations}


if __name__ == "__main__":
    with tl.connect() as opened:
        tell(opened, Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "docs")
