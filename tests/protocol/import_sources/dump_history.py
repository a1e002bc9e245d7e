"""Prints all that a server tells MLflow's client of its history, ids and times included.

python dump_history.py TRACKING_URI
"""

from __future__ import annotations

import hashlib
import json
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType

_PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"


def main(uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient()
    experiments = sorted(client.search_experiments(view_type=ViewType.ALL), key=lambda found: int(found.experiment_id))
    print(
        json.dumps({"experiments": [experiment(client, e) for e in experiments], "models": models(client)}, default=str)
    )


def experiment(client: MlflowClient, found) -> dict:
    where = [found.experiment_id]
    times = [] if found.experiment_id == "0" else [found.creation_time, found.last_update_time]
    return {
        "id": found.experiment_id,
        "about": [found.name, found.lifecycle_stage, found.artifact_location, times, sorted(found.tags.items())],
        "runs": [run(client, r) for r in client.search_runs(where, run_view_type=ViewType.ALL)],
        "logged models": [logged_model(client, m) for m in client.search_logged_models(where)],
        "traces": [trace(t) for t in client.search_traces(locations=where)],
    }


def run(client: MlflowClient, found) -> dict:
    info, data = found.info, found.data
    return {
        "info": [
            info.run_id, info.run_name, info.user_id, info.status, info.start_time, info.end_time, info.lifecycle_stage,
            info.artifact_uri,
        ],
        "params": sorted(data.params.items()),
        "tags": sorted(data.tags.items()),
        "history": {
            key: [[str(p.value), p.timestamp, p.step] for p in client.get_metric_history(info.run_id, key)]
            for key in sorted(data.metrics)
        },
        "last": {key: str(value) for key, value in sorted(data.metrics.items())},
        "inputs": sorted(
            [
                [i.dataset.name, i.dataset.digest, i.dataset.source_type, i.dataset.source, i.dataset.schema,
                 i.dataset.profile, sorted([t.key, t.value] for t in i.tags)]
                for i in found.inputs.dataset_inputs
            ],
            key=str,
        ),
        "outputs": [[o.model_id, o.step] for o in (found.outputs.model_outputs if found.outputs else [])],
        "files": files(info.run_id),
    }  # fmt: skip


def files(run_id: str) -> dict:
    folder = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="") if listed(run_id) else None
    found = {}
    if folder is not None:
        from pathlib import Path

        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def listed(run_id: str) -> list:
    return MlflowClient().list_artifacts(run_id)


def logged_model(client: MlflowClient, found) -> list:
    points = sorted(
        [m.key, m.value, m.timestamp, m.step, m.run_id, m.dataset_name, m.dataset_digest] for m in found.metrics
    )
    return [
        found.model_id, found.name, found.artifact_location, found.creation_timestamp, found.last_updated_timestamp,
        str(found.status), found.model_type, found.source_run_id, sorted(found.params.items()), sorted(found.tags.items()),
        points, sorted(f.path for f in client.list_logged_model_artifacts(found.model_id)),
    ]  # fmt: skip


def trace(found) -> dict:
    info = found.info
    return {
        "info": [
            info.trace_id, info.request_time, info.execution_duration, str(info.state), info.client_request_id,
            info.request_preview, info.response_preview, sorted(info.tags.items()), sorted(info.trace_metadata.items()),
        ],
        "spans": sorted([json.dumps(span.to_dict(), sort_keys=True) for span in found.data.spans]),
        "assessments": sorted(json.dumps(a.to_dictionary(), sort_keys=True, default=str) for a in info.assessments),
    }  # fmt: skip


def models(client: MlflowClient) -> list:
    found = [*client.search_registered_models(), *client.search_registered_models(_PROMPTS)]
    return [model(client, m) for m in sorted(found, key=lambda m: m.name)]


def model(client: MlflowClient, found) -> list:
    where = f"name = '{found.name}'"
    if "mlflow.prompt.is_prompt" in found.tags:
        where += f" AND {_PROMPTS}"
    versions = client.search_model_versions(where, order_by=["version_number ASC"])
    about = [found.name, found.description or None, found.creation_timestamp, sorted(found.tags.items())]
    return [
        *about,
        sorted((alias, int(number)) for alias, number in found.aliases.items()),
        [
            [
                int(v.version), v.creation_timestamp, v.last_updated_timestamp, v.description or None, v.current_stage,
                v.source, v.run_id or None, v.status, v.run_link or None, sorted(v.tags.items()),
            ]
            for v in versions
        ],
    ]  # fmt: skip


main(sys.argv[1])
