"""Prints what a server holds after a script, without what differs by nature: ids, times, machine, folders."""

import json
import re

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
names = {}
ELSEWHERE = (
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.source.git.repoURL",
)
RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")


def plain(text):
    """``text`` with ids replaced by their order of appearance, and times and folders by a word."""
    text = re.sub(
        r"\b(?:m-|tr-)?[0-9a-f]{32}\b", lambda found: names.setdefault(found[0], f"<id{len(names)}>"), str(text)
    )
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?", "<time>", text)
    text = re.sub(r'("(?:utc_)?time_created"|"model_size_bytes"): ("[^"]*"|\d+)', r"\1: <x>", text)
    return re.sub(r"/tmp/[^\s\"',}]*", "<folder>", text)


def files(run_id=None, list_of=None):
    found, waiting = [], [""]
    while waiting:
        for item in list_of(waiting.pop() or None):
            if item.is_dir:
                waiting.append(item.path)
            else:
                found.append(re.sub(r"[0-9a-f]{8,}", "<hex>", item.path))
    return sorted(found)


def metric(key, value):
    if key.endswith("_time"):  # how long scikit-learn took
        return "<seconds>"
    return None if value != value else round(value, 6)


def run_of(run):
    tags = {k: plain(v) for k, v in run.data.tags.items() if k not in ELSEWHERE}
    name = RANDOM_NAME.sub("<name>", run.info.run_name)
    tags["mlflow.runName"] = RANDOM_NAME.sub("<name>", tags["mlflow.runName"])
    return {
        "name": name,
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "ended": run.info.end_time is not None,
        "uri": plain(run.info.artifact_uri),
        "params": dict(sorted(run.data.params.items())),
        "metrics": {k: metric(k, v) for k, v in sorted(run.data.metrics.items())},
        "tags": dict(sorted(tags.items())),
        "datasets": sorted(
            [one.dataset.name, one.dataset.source_type, sorted([t.key, t.value] for t in one.tags)]
            for one in run.inputs.dataset_inputs
        ),
        "models out": len(run.outputs.model_outputs) if run.outputs else 0,
        "files": files(list_of=lambda path: client.list_artifacts(run.info.run_id, path)),
    }


def model_of(model):
    return {
        "name": model.name,
        "type": model.model_type,
        "status": str(model.status),
        "params": dict(sorted(model.params.items())),
        "tags": {k: plain(v) for k, v in sorted(model.tags.items()) if k not in ELSEWHERE},
        "metrics": sorted([m.key, metric(m.key, m.value), m.dataset_name] for m in model.metrics or []),
        "files": files(list_of=lambda path: client.list_logged_model_artifacts(model.model_id, path)),
    }


def trace_of(trace):
    def own(pairs):
        return {k: plain(v) for k, v in sorted(pairs.items()) if k not in ELSEWHERE}

    order = {span.span_id: n for n, span in enumerate(trace.data.spans)}
    return {
        "state": str(trace.info.state),
        "previews": [trace.info.request_preview, trace.info.response_preview],
        "tags": own(trace.info.tags),
        "metadata": {k: "<size>" if ".trace.size" in k else v for k, v in own(trace.info.trace_metadata).items()},
        "spans": [
            [
                span.name, span.span_type, str(span.status.status_code), span.status.description, order.get(span.parent_id),
                {k: plain(v) for k, v in sorted(span.attributes.items())},
                [[event.name, sorted(event.attributes)] for event in span.events],
            ]
            for span in trace.data.spans
        ],
        "assessments": sorted(
            [a.name, str(a.value), str(a.rationale), a.source.source_type, a.source.source_id, str(a.valid)]
            for a in trace.info.assessments
        ),
    }  # fmt: skip


def version_of(version, get):
    # A search tells no aliases on MLflow's server, and its client gets no prompt as a model.
    aliases = sorted(get(version.name, version.version).aliases)
    tags = {k: plain(x) for k, x in sorted(version.tags.items())}
    return [
        version.version, version.current_stage, version.status, version.description, tags, aliases,
        bool(version.run_id), plain(version.source), dict(sorted((version.params or {}).items())),
    ]  # fmt: skip


def registered():
    for model in [
        *client.search_registered_models(),
        *client.search_registered_models("tag.`mlflow.prompt.is_prompt` = 'true'"),
    ]:
        is_prompt = "_mlflow_experiment_ids" in model.tags
        prompt = " AND tag.`mlflow.prompt.is_prompt` = 'true'" if is_prompt else ""
        get = client.get_prompt_version if is_prompt else client.get_model_version
        versions = client.search_model_versions(f"name = '{model.name}'{prompt}", order_by=["version_number ASC"])
        yield [
            model.name, model.description, dict(sorted(model.tags.items())), dict(sorted(model.aliases.items())),
            [version_of(version, get) for version in versions],
        ]  # fmt: skip


def held():
    for experiment in sorted(client.search_experiments(view_type=ViewType.ALL), key=lambda one: int(one.experiment_id)):
        where = [experiment.experiment_id]
        runs = sorted(
            client.search_runs(where, run_view_type=ViewType.ALL),
            key=lambda run: (
                run.info.start_time,
                sorted(run.data.params.items()),
            ),  # some begin in the same millisecond
        )
        try:
            models = list(
                client.search_logged_models(where, order_by=[{"field_name": "creation_timestamp", "ascending": True}])
            )
        except MlflowException as error:
            models = []
            print(error)
        traces = sorted(
            client.search_traces(locations=where),
            key=lambda trace: (trace.info.request_time, trace.info.request_preview or ""),
        )
        yield {
            "name": experiment.name,
            "stage": experiment.lifecycle_stage,
            "tags": dict(sorted(experiment.tags.items())),
            "runs": [run_of(run) for run in runs],
            "models": [model_of(model) for model in models],
            "traces": [trace_of(trace) for trace in traces],
        }


print(json.dumps({"experiments": list(held()), "registered": list(registered())}))
