"""What apply would change, and what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from twinloop.backends.duckdb_analytics import DuckAnalytics
from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.parsing.process import ProcessParser
from twinloop.backends.sqlite import open_store
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.registry.service import Registry
from twinloop.control.releases.declaration import DeclaredEndpointKind
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.llm.documents.kind import DocumentKind
from twinloop.llm.documents.service import Documents
from twinloop.llm.prompts.kind import PromptKind
from twinloop.ml.data.model import DatasetKind
from twinloop.ml.data.service import Datasets
from twinloop.ml.features.kind import FeatureViewKind
from twinloop.protocols.native import blobs, llm, ml, revisions
from twinloop.sdk.client import Client
from twinloop.sdk.plan import apply, planned
from twinloop.sdk.project import load_project
from twinloop.sdk.transports import InProcessTransport, LoopThread

DEFINITIONS = """
import twinloop as tl

ORDERS = tl.Dataset("orders", path="orders.csv", time_column="at")
NOTES = tl.Corpus("notes", folder="notes")
VIEW = tl.FeatureView("customer", source="orders", entities=["customer"], event_time="at",
                      features=[tl.Count("orders_7d", window="7d")])
ANSWER = tl.Prompt("answer", "Answer from the passages.", retrieval={"k": 3})
HELP = tl.Endpoint("help", "chat", {"prompt": ANSWER.ref}, [tl.Condition("recall", at_least=0.5)])
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A Twinloop with what apply needs, in process."""
    thread = LoopThread()
    parser = ProcessParser()
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    async def put_together() -> tuple[Any, Starlette]:
        store = open_store(tmp_path / "twinloop.db")
        kinds = [DatasetKind(), FeatureViewKind(), DocumentKind(), PromptKind(), DeclaredEndpointKind()]
        registry = Registry(store, kinds)
        kept = LocalBlobs(tmp_path / "blobs")
        datasets = Datasets(registry, kept, DuckAnalytics(scratch))
        documents = Documents(registry, kept, parser)
        nothing: Any = None
        routes = [
            *revisions.routes(registry),
            *blobs.routes(kept),
            *ml.routes(datasets, nothing, nothing, nothing),
            *llm.routes(documents, nothing, nothing),
        ]
        application = Starlette(routes=routes)
        application.state.authenticate = lambda headers: LOCAL_ADMIN
        return store, application

    store, application = thread.run(put_together())

    def close() -> None:
        thread.run(parser.aclose())
        thread.run(store.aclose())

    with Client(InProcessTransport(application, thread, close)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    (made / "notes").mkdir(parents=True)
    (made / "twinloop.toml").write_text('[project]\nname = "shop"\n')
    (made / "definitions.py").write_text(DEFINITIONS)
    (made / "orders.csv").write_text("customer,at\na,2024-01-01T00:00:00\nb,2024-01-02T00:00:00\n")
    (made / "notes" / "one.md").write_text("# One\n\nThe first note.\n")
    (made / "notes" / "two.md").write_text("# Two\n\nThe second note.\n")
    return made


def plan_of(client: Client, folder: Path) -> dict[str, str]:
    with planned(client, load_project(folder)) as plan:
        return {item.ref: item.action for item in plan.items}


def lines_of(client: Client, folder: Path) -> list[str]:
    with planned(client, load_project(folder)) as plan:
        return list(plan.lines())


def apply_to(client: Client, folder: Path) -> list[str]:
    with planned(client, load_project(folder)) as plan:
        return list(apply(plan))


def test_everything_is_created_once_and_a_second_apply_changes_nothing(client: Client, folder: Path) -> None:
    assert set(plan_of(client, folder).values()) == {"create"}
    done = apply_to(client, folder)
    assert "+ dataset/orders@1, 2 rows" in done
    assert "+ document/notes: 2 documents, 0 of them unchanged" in done
    assert "+ endpoint/help@1" in done
    assert set(plan_of(client, folder).values()) == {"unchanged"}
    assert apply_to(client, folder) == []
    assert lines_of(client, folder) == ["shop: nothing to change; 5 declared."]


def test_a_changed_field_is_shown_before_and_after_and_only_that_is_changed(client: Client, folder: Path) -> None:
    apply_to(client, folder)
    (folder / "definitions.py").write_text(DEFINITIONS.replace('"k": 3', '"k": 5').replace('"7d"', '"14d"'))
    lines = lines_of(client, folder)
    assert "    retrieval.k: 3 -> 5" in lines
    assert '    features[0].window: "7d" -> "14d"' in lines
    assert lines[-1] == "shop: 0 to create, 2 to change, 3 unchanged."
    assert sorted(apply_to(client, folder)) == ["~ feature_view/customer@2", "~ prompt/answer@2"]
    assert apply_to(client, folder) == []


def test_going_back_to_an_earlier_declaration_settles(client: Client, folder: Path) -> None:
    apply_to(client, folder)
    (folder / "definitions.py").write_text(DEFINITIONS.replace('"k": 3', '"k": 5'))
    apply_to(client, folder)
    (folder / "definitions.py").write_text(DEFINITIONS)
    assert apply_to(client, folder) == ["~ prompt/answer@1"]
    assert apply_to(client, folder) == []
    assert client.revisions.get("prompt/answer")["number"] == 1


def test_a_changed_table_and_a_changed_document_are_taken_in(client: Client, folder: Path) -> None:
    apply_to(client, folder)
    (folder / "orders.csv").write_text("customer,at\nc,2024-01-03T00:00:00\n")
    (folder / "notes" / "two.md").write_text("# Two\n\nThe second note, mended.\n")
    changed = {ref for ref, action in plan_of(client, folder).items() if action == "change"}
    assert changed == {"dataset/orders", "document/notes"}
    done = apply_to(client, folder)
    assert done == ["~ dataset/orders@2, 1 rows", "~ document/notes: 2 documents, 1 of them unchanged"]
    assert apply_to(client, folder) == []


def test_planning_changes_nothing(client: Client, folder: Path) -> None:
    plan_of(client, folder)
    assert client.revisions.list() == []


def test_a_declared_file_that_is_not_there_is_named(client: Client, folder: Path) -> None:
    (folder / "orders.csv").unlink()
    with pytest.raises(DefinitionError, match=r"Dataset orders: there is no file orders\.csv"):
        plan_of(client, folder)
