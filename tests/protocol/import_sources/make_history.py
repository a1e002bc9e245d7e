"""Fills an MLflow tracking store with a bit of everything; run by the Python that has MLflow, in a process of its own.

    python make_history.py TRACKING_URI [--runs N] [--points N] [--artifact-mb N]

Prints one JSON document with what a test wants to look up.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, LoggedModelStatus, Metric, Param, RunTag

SERIES = 1_753_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("uri")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--artifact-mb", type=int, default=2)
    given = parser.parse_args()
    mlflow.set_tracking_uri(given.uri)
    mlflow.set_registry_uri(given.uri)
    client = MlflowClient()
    told = {}
    told["flights"] = experiments(client)
    told |= runs(client, told["flights"], given.runs, given.points)
    told |= artifacts(client, told["rich"], given.artifact_mb)
    told["model"] = logged_model(client, told["flights"], told["rich"])
    registry(client, told["rich"], told["model"])
    prompts()
    told["traces"] = traces(client, told["flights"])
    print(json.dumps(told))


def experiments(client: MlflowClient) -> str:
    flights = client.create_experiment("flights", tags={"team": "ops", "mlflow.note.content": "delays"})
    gone = client.create_experiment("gone")
    client.create_run(gone, run_name="in a deleted experiment")
    client.delete_experiment(gone)
    client.create_experiment("Übung 'naïve' – 训练", tags={"ключ": "значение"})
    client.create_run("0", run_name="in Default")
    return flights


def runs(client: MlflowClient, flights: str, count: int, points: int) -> dict:
    rich = client.create_run(
        flights, start_time=SERIES, run_name="rich", tags={"mlflow.user": "ada", "note": "ü" * 900}
    )
    run_id = rich.info.run_id
    series = [Metric("loss", 1.0 / (step + 1), SERIES + step, step) for step in range(points)]
    for start in range(0, points, 900):
        client.log_batch(run_id, metrics=series[start : start + 900])
    odd = [
        Metric("odd", math.nan, SERIES, 0), Metric("odd", math.inf, SERIES + 1, 1), Metric("odd", -math.inf, SERIES + 2, 2),
        Metric("odd", 0.0, SERIES, 0), Metric("odd", 1e-320, SERIES + 3, -5), Metric("odd", 7.0, SERIES + 3, 2**40),
    ]  # fmt: skip
    params = [Param("depth", "3"), Param("a/b c", "x" * 5000), Param("empty", "")]
    client.log_batch(run_id, metrics=odd, params=params, tags=[RunTag("stage", "final")])
    client.log_inputs(
        run_id,
        [
            DatasetInput(Dataset("weather", "d1g3st", "local", '{"uri": "w.parquet"}', '{"cols": 3}', '{"rows": 9}'),
                         [InputTag("mlflow.data.context", "training")]),
            DatasetInput(Dataset("plain", "00ff", "code", "{}"), []),
        ],
    )  # fmt: skip
    client.set_terminated(run_id, "FINISHED", SERIES + 60_000)
    child = client.create_run(flights, tags={"mlflow.parentRunId": run_id, "mlflow.runName": "child"})
    client.set_terminated(child.info.run_id, "FAILED")
    deleted = client.create_run(flights, run_name="thrown away")
    client.log_metric(deleted.info.run_id, "loss", 9.0)
    client.delete_run(deleted.info.run_id)
    for number in range(count):
        run = client.create_run(flights, start_time=SERIES + number, run_name=f"sweep-{number}")
        metrics = [Metric(key, number / 7 + step, SERIES + step, step) for key in ("auc", "loss") for step in range(3)]
        client.log_batch(run.info.run_id, metrics=metrics, params=[Param("lr", str(number / 100))])
        if number % 4:
            client.set_terminated(run.info.run_id, ("FINISHED", "KILLED", "FAILED")[number % 3], SERIES + number + 5)
    return {"rich": run_id, "child": child.info.run_id, "deleted": deleted.info.run_id}


def artifacts(client: MlflowClient, run_id: str, megabytes: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "notes.txt").write_text("plain words\n")
        (root / "empty.bin").write_bytes(b"")
        (root / "deep" / "er").mkdir(parents=True)
        (root / "deep" / "er" / "façade 1.json").write_text('{"a": 1}')
        (root / "deep" / "100%+#.txt").write_text("odd name")
        (root / "big.bin").write_bytes(os.urandom(megabytes << 20))
        client.log_artifacts(run_id, str(root))
        client.log_artifacts(run_id, str(root / "deep"), "again")
    return {"artifacts": 7}


def logged_model(client: MlflowClient, flights: str, run_id: str) -> str:
    model = client.create_logged_model(
        flights, name="net", source_run_id=run_id, tags={"kind": "toy"}, params={"width": "8"}, model_type="xgb"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "MLmodel").write_text(
            f"artifact_path: net\nflavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
            f"    model_path: model.pkl\nmodel_id: {model.model_id}\nmodel_uuid: {model.model_id}\nrun_id: {run_id}\n"
        )
        (root / "model.pkl").write_bytes(b"\x80\x04N.")
        client.log_model_artifacts(model.model_id, str(root))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 3)])
    client.log_metric(
        run_id,
        "auc",
        0.9,
        timestamp=SERIES,
        step=1,
        model_id=model.model_id,
        dataset_name="weather",
        dataset_digest="d1g3st",
    )
    return model.model_id


def registry(client: MlflowClient, run_id: str, model_id: str) -> None:
    client.create_registered_model("iris", tags={"owner": "ada"}, description="three **kinds**")
    for number in range(4):
        version = client.create_model_version(
            "iris",
            f"models:/{model_id}",
            run_id,
            tags={"n": str(number)},
            description=f"number {number}",
            model_id=model_id,
        )
    assert version.version == "4" or version.version == 4
    client.delete_model_version("iris", "2")
    client.delete_model_version("iris", "4")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage("iris", "1", "Archived")
        client.transition_model_version_stage("iris", "3", "Production")
    client.set_registered_model_alias("iris", "champion", "3")
    client.set_registered_model_alias("iris", "first", "1")
    client.create_registered_model("Ein Modell – naïve", description="")
    client.create_model_version("Ein Modell – naïve", f"runs:/{run_id}/deep", run_id, run_link="http://127.0.0.1/x")
    client.create_registered_model("empty one")


def prompts() -> None:
    import mlflow.genai

    mlflow.genai.register_prompt("greet", "Hello {{name}}", commit_message="first", tags={"lang": "en"})
    mlflow.genai.register_prompt("greet", "Hi {{name}}", commit_message="shorter")
    mlflow.genai.set_prompt_alias("greet", "production", 1)


def traces(client: MlflowClient, flights: str) -> list[str]:
    from mlflow.entities import AssessmentSource

    mlflow.set_experiment(experiment_id=flights)
    found = []
    for number in range(3):
        with mlflow.start_span(f"ask-{number}", span_type="CHAIN") as root:
            root.set_inputs({"question": "wer?", "n": number})
            with mlflow.start_span("llm", span_type="LLM") as inner:
                inner.set_attributes({"model": "m", "nested": {"a": [1, 2.5, None, True]}})
                inner.set_attribute(
                    "mlflow.chat.tokenUsage", {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
                )
                inner.add_event(mlflow.entities.SpanEvent("first token", attributes={"at": 1}))
                inner.set_outputs("nobody")
            root.set_outputs({"answer": "niemand"})
            mlflow.update_current_trace(metadata={"mlflow.trace.session": f"s{number}"}, tags={"lane": "test"})
        found.append(root.trace_id)
    mlflow.set_trace_tag(found[0], "kept", "yes")
    human = AssessmentSource("HUMAN", "ada")
    mlflow.log_feedback(trace_id=found[0], name="good", value=True, rationale="short", source=human)
    mlflow.log_expectation(trace_id=found[0], name="expected", value={"answer": "x"}, source=human)
    return found


main()
