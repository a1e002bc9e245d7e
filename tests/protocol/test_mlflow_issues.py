"""Issues and label schemas over MLflow's paths."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serving import ServerProcess


class Mlflow:
    """Speaks to MLflow's paths as its client does."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        self._connection.request(method, f"/api/3.0/mlflow{path}", json.dumps(body) if body is not None else None)
        with self._connection.getresponse() as answer:
            found = json.load(answer)
        assert answer.status == 200, found
        return found


@pytest.fixture
def mlflow(server: ServerProcess) -> Iterator[Mlflow]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    yield Mlflow(connection)
    connection.close()


def trace(mlflow: Mlflow, issue: str) -> None:
    """A trace that refers to an issue."""
    id = f"tr-{secrets.token_hex(16)}"
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    info = {"trace_id": id, "trace_location": where, "request_time": "2026-11-21T09:31:55.637Z", "state": "OK"}
    mlflow("POST", "/traces", {"trace": {"trace_info": info}})
    said = {
        "assessment_name": issue,
        "trace_id": id,
        "source": {"source_type": "CODE", "source_id": "t"},
        "issue": {"issue_name": "x"},
    }
    mlflow("POST", f"/traces/{id}/assessments", {"assessment": said})


def test_issues_count_the_traces_that_refer_to_them(mlflow: Mlflow) -> None:
    made = [
        mlflow("POST", "/issues", {"experiment_id": "0", "name": name, "description": "d", "root_causes": ["r"]})[
            "issue"
        ]
        for name in ("few", "many")
    ]
    for number, issue in enumerate(made, 1):
        for _ in range(number):
            trace(mlflow, issue["issue_id"])
    found = mlflow("POST", "/issues/search", {"experiment_id": "0", "include_trace_count": True})["issues"]
    assert [(issue["name"], issue["trace_count"]) for issue in found] == [("many", 2), ("few", 1)]
    plain = mlflow("POST", "/issues/search", {"experiment_id": "0", "max_results": 1})
    assert "trace_count" not in plain["issues"][0]
    rest = mlflow("POST", "/issues/search", {"max_results": "1", "page_token": plain["next_page_token"]})
    assert [issue["name"] for issue in rest["issues"]] == ["few"]
    assert rest["next_page_token"] == ""
    changed = mlflow("PATCH", f"/issues/{made[0]['issue_id']}", {"status": "resolved"})["issue"]
    assert changed == mlflow("GET", f"/issues/{made[0]['issue_id']}")["issue"]
    assert (changed["status"], changed["root_causes"]) == ("resolved", ["r"])


def test_label_schemas_are_made_listed_changed_and_deleted(mlflow: Mlflow) -> None:
    asked = {"categorical": {"options": ["low", "high"], "multi_select": True}}
    body = {"experiment_id": "0", "name": "severity", "type": "FEEDBACK", "input": asked, "enable_comment": True}
    made = mlflow("POST", "/label-schemas/create", body)["label_schema"]
    assert made.items() >= {"input": asked, "type": "FEEDBACK", "enable_comment": True, "is_default": False}.items()
    listed = mlflow("GET", "/label-schemas/list?experiment_id=0")
    assert [schema["name"] for schema in listed["label_schemas"]] == ["Feedback", "severity"]
    assert listed["next_page_token"] == ""
    changed = mlflow("PATCH", "/label-schemas/update", {"schema_id": made["schema_id"], "instruction": "look"})
    assert changed["label_schema"]["instruction"] == "look"
    found = mlflow("GET", "/label-schemas/get-by-name?experiment_id=0&name=severity")
    assert found == changed == mlflow("GET", f"/label-schemas/get?schema_id={made['schema_id']}")
    mlflow("DELETE", "/label-schemas/delete", {"schema_id": made["schema_id"]})
    assert len(mlflow("GET", "/label-schemas/list?experiment_id=0")["label_schemas"]) == 1


def test_a_label_schema_says_by_name_or_number_whether_it_asks_for_feedback_or_an_expectation(mlflow: Mlflow) -> None:
    body = {"experiment_id": "0", "input": {"text": {}}}
    for given, kind in (
        (1, "FEEDBACK"),
        ("FEEDBACK", "FEEDBACK"),
        ("EXPECTATION", "EXPECTATION"),
        ("2", "EXPECTATION"),
    ):
        made = mlflow("POST", "/label-schemas/create", {**body, "name": f"asks {given}", "type": given})["label_schema"]
        assert made["type"] == kind
        mlflow("DELETE", "/label-schemas/delete", {"schema_id": made["schema_id"]})
    for wrong in ({}, {"type": ""}, {"type": "OPINION"}, {"type": 0}, {"type": None}):
        with pytest.raises(AssertionError, match="`type` must be one of FEEDBACK or EXPECTATION"):
            mlflow("POST", "/label-schemas/create", {**body, "name": "asks for something", **wrong})
