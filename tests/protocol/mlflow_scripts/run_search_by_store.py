"""Searches for runs through the client's REST store: every comparator, order and page, datasets, and what is refused."""

import json
import math

import mlflow
import requests
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag, ViewType
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds

url = mlflow.get_tracking_uri()
store = RestStore(lambda: MlflowHostCreds(url))
told = {}
VALUES = (None, math.nan, math.inf, -math.inf, -1000.0, 0.0, 0.0, 1000.0)
FILTERS = """metrics.x > 0
metrics.x >= 0
metrics.x = 0
metrics.x != 0
metrics.x <= -1000
metrics.x > -1e308
metrics.x = 1.7976931348623157e308
metric.`x` > -1.5
metrics.nope != 1
metrics.x LIKE '1'
metrics.x > '1'
metrics.x IN (1)
params.odd = 'A1 b'
params.odd != 'A1 b'
params.odd LIKE 'A%'
params.odd LIKE 'a%'
params.odd ILIKE 'a%'
params.odd LIKE 'A_ b'
params.odd IS NULL
params.odd IS NOT NULL
params.odd > 'a'
params.odd = A1
params.odd = "A1 b"
param.odd = 'x' OR param.odd = 'y'
parameters.odd  =  'A1 b'
tag.tk != 'v1'
tags.tk = 'v1' and params.metric = '2'
tags.tk = 'v1' AND metrics.y > 3
tags."mlflow.runName" = 'run 2'
tags.mlflow.runName = 'run 2'
tags.tk IN ('v1')
attribute.status != 'RUNNING'
attributes.status = 'FAILED'
attribute.status LIKE 'F%'
attribute.status ILIKE 'f%'
attr.artifact_uri LIKE '%artifacts'
run.status = 'FAILED'
attribute.lifecycle_stage = 'active'
attributes.run_name = 'run 1'
attributes.`Run name` = 'run 1'
run_name LIKE 'run%'
start_time > 101
attributes.created > 101
attributes.Created > 102
start_time = '100'
end_time != 234
user_id = 'me'
dataset.name = 'name1'
dataset.digest = 'digest2'
dataset.context = 'test' and dataset.name = 'name2'
dataset.name = 'name1' and dataset.context = 'eval'
datasets.name IN ('name1', 'name2')
datasets.name NOT IN ('name1')
datasets.name LIKE 'Name%'
datasets.name ILIKE 'Name%'
datasets.context IN ('test', 'train')
dataset.context != 'train'
dataset.foo = 'x'
dataset.name > 'x'
dataset.name IN ()
dataset.name IN (1)
foo.bar = 'x'
foo = 'x'
metrics.x
= 1
metrics.x >
params.odd = "it's"
(metrics.x > 1)
NOT metrics.x > 1
attributes.run_id != 'abc'"""
ORDERS = (
    ["metrics.x asc", "metrics.y asc"],
    ["metrics.x desc", "param.metric desc"],
    ["metrics.x", "tags.metric desc"],
    ["attribute.end_time asc", "tag.metric"],
    ["attribute.end_time desc", "tag.metric"],
    ["attribute.start_time asc", "attribute.end_time desc", "tag.metric"],
    ["tag.tk", "tag.metric"],
    ["params.odd desc", "tag.metric"],
    ["attributes.created ASC", "tag.metric"],
    ["Created DESC", "tag.metric"],
    ["run_name desc"],
    ["status", "tag.metric"],
    ["metrics.`x` DESC", "tag.metric"],
    ["param.a", "metric.a", "tag.a", "tag.metric"],
    ["`metrics`.x", "tag.metric"],
    ["artifact_uri foo"],
    ["foo"],
    ["dataset.name"],
)


def say(label, verb, *arguments, **named):
    """Keep what a call answers, or how it fails."""
    try:
        found = verb(*arguments, **named)
    except mlflow.MlflowException as error:
        found = error.error_code
    told[str(label)] = found


def read(name, digest, context=None, **more):
    tags = [] if context is None else [InputTag("mlflow.data.context", context)]
    return DatasetInput(Dataset(name, digest, **{"source_type": "st", "source": "src", "schema": "s", **more}), tags)


def fill(experiment):
    runs = []
    for number, value in enumerate(VALUES):
        tags = [RunTag("metric", str(number + 1)), RunTag("tk", f"v{number % 3}")]
        run = store.create_run(experiment, "me", 100 + number, tags, f"run {number}").info.run_id
        runs.append(run)
        if value is not None:
            store.log_batch(run, [Metric("x", value, 1, 0), Metric("y", float(number), 1, 0)], [], [])
        store.log_param(run, Param("metric", str(number + 1)))
        if number % 2:
            store.log_param(run, Param("odd", f"A{number} b"))
    store.update_run_info(runs[0], RunStatus.FINISHED, 234, None)
    store.update_run_info(runs[1], RunStatus.FAILED, 123, None)
    store.delete_run(runs[7])
    store.log_inputs(runs[0], [read("name1", "digest1", "train"), read("name2", "digest2", "eval")])
    store.log_inputs(runs[1], [read("name1", "digest1", "train"), read("name3", "digest3", "eval")])
    store.log_inputs(runs[2], [read("name2", "digest2", "test")])
    store.log_inputs(runs[3], [read("name4", "digest4"), read("name4", "digest4")])
    store.log_inputs(runs[0], [read("name1", "digest1", source_type="other")])
    return runs


def names(experiment, filter=None, order=(), view=ViewType.ALL, limit=1000):
    found = store.search_runs([experiment], filter, view, limit, list(order) or ["tags.metric"])
    return [run.info.run_name for run in found]


def pages(experiment, limit, order):
    found, token = [], None
    while True:
        page = store.search_runs([experiment], None, ViewType.ALL, limit, order, token)
        found.append([run.info.run_name for run in page])
        token = page.token
        if not token:
            return found


def inputs(run):
    for label, given in (
        *(
            (f"{name} {length}", {name: "a" * length})
            for name, most in (("name", 500), ("digest", 36))
            for length in (most, most + 1)
        ),
        *(("source", {"source": "a" * 65_536}), ("schema", {"schema": "a" * 1_048_576})),
    ):
        whole = {"name": "n", "digest": "d", "source_type": "t", "source": "s", **given}
        say(f"input {label}", store.log_inputs, run, [DatasetInput(Dataset(**whole), [])])
    for key, length in (("a" * 255, 1), ("a" * 256, 1), ("a", 500), ("a", 501)):
        tag = InputTag(key, "x" * length)
        say(f"input tag {len(key)} {length}", store.log_inputs, run, [DatasetInput(Dataset("n", "d", "t", "s"), [tag])])


def listed(experiments):
    answer = requests.post(
        f"{url}/ajax-api/2.0/mlflow/experiments/search-datasets", json={"experiment_ids": experiments}
    )
    found = answer.json()
    if answer.status_code != 200:
        return [answer.status_code, found["error_code"]]
    return sorted(
        [one["name"][:9], one["digest"][:9], one.get("context")] for one in found.get("dataset_summaries", [])
    )


experiment, other = store.create_experiment("searched"), store.create_experiment("other")
runs = fill(experiment)
one = store.get_run(runs[0]).inputs.dataset_inputs
told["inputs"] = sorted([i.dataset.name, i.dataset.source_type, [[t.key, t.value] for t in i.tags]] for i in one)
for filter in FILTERS.splitlines():
    say(f"where {filter}", names, experiment, filter)
say("where in", names, experiment, f"attributes.run_id IN ('{runs[1]}', '{runs[2]}')")
say("where in one", names, experiment, f"run_id IN ('{runs[1]}',) AND run_name = 'run 1'")
say("where not in", names, experiment, f"attributes.run_id NOT IN ('{runs[1]}')")
for order in ORDERS:
    say(f"order {order}", names, experiment, None, order)
for view in (ViewType.ALL, ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
    say(f"view {view}", names, experiment, None, (), view)
for limit in (50_001, 0, -1):
    say(f"limit {limit}", names, experiment, limit=limit)
for within in ("88888", "abc"):
    say(f"in {within}", names, within)
say("in both", lambda: len(store.search_runs([experiment, other], None, ViewType.ALL, 100)))
say("in none", lambda: len(store.search_runs([], None, ViewType.ALL, 100)))
say("bad token", store.search_runs, [experiment], None, ViewType.ALL, 10, None, "xx")
for limit in (1, 3, 4, 8):
    for order in (["tags.metric"], ["metrics.x DESC", "tags.metric"], ["metrics.x", "tags.metric"]):
        say(f"pages {limit} {order}", pages, experiment, limit, order)
inputs(runs[5])
for experiments in ([], ["abc"], ["9999"], ["1"] * 21, [experiment], [experiment, other]):
    say(f"datasets of {experiments}", listed, experiments)
print(json.dumps(told))
