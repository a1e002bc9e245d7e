"""Logged models through the client's REST store: their lives, metrics, searches and places in runs, with the errors between."""

import json
import time

import mlflow
import requests
from mlflow.entities import (
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
    ViewType,
)
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds

url = mlflow.get_tracking_uri()
store = RestStore(lambda: MlflowHostCreds(url))
told = {}


def say(label, verb, *arguments, **named):
    """Keep what a call answers, or how it fails."""
    try:
        found = verb(*arguments, **named)
    except mlflow.MlflowException as error:
        found = error.error_code
    told[str(label)] = found if isinstance(found, str | int | float | list | dict | None) else "done"
    return found


def make(name, **named):
    time.sleep(0.005)  # so that the newest is known
    return store.create_logged_model(experiment, name=name, **named)


def shown(model_id, **named):
    model = store.get_logged_model(model_id, **named)
    points = sorted(
        [m.key, m.value, m.timestamp, m.step, m.dataset_name, m.dataset_digest] for m in model.metrics or []
    )
    return [model.name, str(model.status), model.model_type, model.params, model.tags, str(points)]


def names(filter=None, datasets=None, order=None, limit=None, token=None, within=None):
    found = store.search_logged_models(within or [experiment], filter, datasets, limit, order, token)
    return [model.name for model in found]


def lives():
    for name in ("my/model", "my.model", "my:model", "my%model", "my'model", 'my"model', "a b", "é"):
        say(f"name {name}", lambda name=name: len(store.create_logged_model(other, name=name).name) > 0)
    for id in ("98765", "abc"):
        say(f"in {id}", store.create_logged_model, id)
    many = [LoggedModelParameter(f"k{n}", "v") for n in range(250)]
    say("params", store.log_logged_model_params, first, many)
    say("ready", lambda: str(store.finalize_logged_model(first, LoggedModelStatus.READY).status))
    say("failed", lambda: str(store.finalize_logged_model(first, LoggedModelStatus.FAILED).status))
    tags = [LoggedModelTag("t1", "a"), LoggedModelTag("t1", "b"), LoggedModelTag("t2", "c")]
    say("tags", store.set_logged_model_tags, second, tags)
    for step in range(2):
        say(f"untag {step}", store.delete_logged_model_tag, second, "t1")
    for label, verb, given in (
        ("get", store.get_logged_model, ()),
        ("params", store.log_logged_model_params, (many[:1],)),
        ("finalize", store.finalize_logged_model, (LoggedModelStatus.READY,)),
        ("tag", store.set_logged_model_tags, (tags,)),
        ("untag", store.delete_logged_model_tag, ("t1",)),
        ("delete", store.delete_logged_model, ()),
    ):
        say(f"nothing to {label}", verb, "nope", *given)


def measures():
    acc = Metric("acc", 0.9, 5, 0, model_id=first, dataset_name="d1", dataset_digest="g1")
    for _ in range(2):
        store.log_metric(run, acc)
    points = [
        Metric("acc", 0.8, 6, 0, model_id=first, dataset_name="d2", dataset_digest="g2"),
        Metric("acc", 0.8, 7, 0, model_id=second, dataset_name="d1", dataset_digest="g1"),
        Metric("acc", 0.9, 8, 0, model_id=second, dataset_name="d2", dataset_digest="g2"),
        Metric("only", 1.0, 8, 3, model_id=first),
        Metric("x", 5.0, 1, 0),
    ]
    store.log_batch(run, points, [], [])
    store.log_outputs(run, [LoggedModelOutput(first, 1), LoggedModelOutput(second, 2)])
    store.log_inputs(run, models=[LoggedModelInput(third)])
    found = store.get_run(run)
    told["made"] = sorted([named[made.model_id], made.step] for made in found.outputs.model_outputs)
    told["read"] = [named[read.model_id] for read in found.inputs.model_inputs]
    told["metrics"] = dict(sorted(found.data.metrics.items()))
    made = [one.outputs.model_outputs for one in store.search_runs([experiment], None, ViewType.ALL, 10)]
    told["made, when searched"] = [len(one) for one in made]
    for id in (first, second, third):
        say(f"model {named[id]}", shown, id)


def searches():
    for filter in (
        *("name = 'model_1'", "attributes.name LIKE 'model%'", "name ILIKE 'MODEL%'", "name != 'model_1'"),
        *("name IN ('model_1',)", "name NOT IN ('model_1')", "creation_timestamp > 0", "creation_time = 0"),
        *("last_updated_timestamp > 0", "params.param1 = 'val1'", "tags.`tag 3` = 'val3' AND params.param1 = 'val1'"),
        *("metrics.acc = 0.9", "metrics.acc > 0.85", "metrics.acc < 0.85", "metrics.acc > 0.5 AND metrics.only = 1"),
        *("model_type = 'T'", "model_type != 'T'", f"source_run_id = '{run}'", "Foo", "foo.bar = 'a'", "name > 'foo'"),
        *("name = 'foo' OR name = 'bar'", "metrics.foo LIKE 0", "tags.t2 != 'x'"),
    ):
        say(f"where {filter.replace(run, 'the run')}", names, filter)
    for field in ("creation_timestamp", "creation_time", "name", "metrics.acc", "metrics.only", "foo", "params.x"):
        for ascending in (True, False):
            say(f"order {field} {ascending}", names, order=[{"field_name": field, "ascending": ascending}])
    say("order type", names, order=[{"field_name": "model_type"}, {"field_name": "name"}])
    for dataset in ({"dataset_name": "d1"}, {"dataset_name": "d2", "dataset_digest": "g2"}, {"dataset_digest": "g1"}):
        say(f"order on {dataset}", names, order=[{"field_name": "metrics.acc", **dataset}])
    for digest in ("g1", "zz"):
        datasets = [{"dataset_name": "d1", "dataset_digest": digest}]
        say(f"on {digest}", names, None, datasets)
        say(f"on {digest} where", names, "metrics.acc >= 0.85", datasets)
    say("on nothing", names, None, [{"dataset_name": ""}])
    page = store.search_logged_models([experiment], max_results=2)
    told["page"] = [model.name for model in page]
    say("page 2", names, limit=1, token=page.token)
    say("another experiment", names, within=[other], token=page.token)
    say("another order", names, order=[{"field_name": "creation_time"}], token=page.token)
    say("another filter", names, "name = 'x'", token=page.token)
    for within in ("99999", "abc"):
        say(f"among {within}", names, within=[within])


def histories():
    runs = [store.create_run(other, "me", n, [], f"h{n}").info.run_id for n in range(2)]
    for count, id in zip((10, 20), runs, strict=True):
        store.log_batch(id, [Metric("m", float(n), n, n) for n in range(count)], [], [])
    for path, query in (
        ("bulk", {"metric_key": "m"}),
        ("bulk", {"run_id": ["x"] * 101, "metric_key": "m"}),
        ("bulk", {"run_id": runs[:1]}),
        ("bulk", {"run_id": ["none"], "metric_key": "m"}),
        ("bulk", {"run_id": runs[:1], "metric_key": "m", "max_results": 2}),
        ("bulk-interval", {"run_ids": runs, "metric_key": "m", "max_results": 5}),
        ("bulk-interval", {"run_ids": runs[1:], "metric_key": "m", "max_results": 7}),
        ("bulk-interval", {"run_ids": runs[1:], "metric_key": "m", "max_results": 1}),
        ("bulk-interval", {"run_ids": runs[:1], "metric_key": "m", "start_step": 2, "end_step": 6, "max_results": 3}),
        ("bulk-interval", {"run_ids": runs, "metric_key": "m", "start_step": 2, "max_results": 3}),
        ("bulk-interval", {"run_ids": runs, "metric_key": "m", "start_step": 2, "end_step": 1, "max_results": 3}),
        ("bulk-interval", {"run_ids": runs, "metric_key": "m", "max_results": 0}),
        ("bulk-interval", {"run_ids": ["x"] * 101, "metric_key": "m"}),
        ("bulk-interval", {"metric_key": "m"}),
        ("bulk-interval", {"run_ids": runs}),
    ):
        answer = requests.get(f"{url}/ajax-api/2.0/mlflow/metrics/get-history-{path}", params=query)
        found = answer.json()
        shown = found.get("error_code") or [[runs.index(p["run_id"]), p["value"], p["step"]] for p in found["metrics"]]
        told[f"history {len(told)}"] = [answer.status_code, shown]


def ends():
    store.delete_logged_model(first)
    for label, verb, given in (
        ("get", shown, ()),
        ("delete", store.delete_logged_model, ()),
        ("tag", store.set_logged_model_tags, ([LoggedModelTag("t", "a")],)),
    ):
        say(f"deleted {label}", verb, first, *given)
    say("deleted allowed", shown, first, allow_deleted=True)
    say("without it", names)
    store.delete_experiment(experiment)
    say("in a deleted experiment", store.create_logged_model, experiment)
    say("search there", names)


experiment, other = store.create_experiment("models"), store.create_experiment("others")
run = store.create_run(experiment, "me", 5, [], "train").info.run_id
make("my_model", source_run_id=run, model_type="T", tags=[LoggedModelTag("tag1", "apple")])
first, second = make("model_1").model_id, make("model_2").model_id
third = make(
    "model_3", tags=[LoggedModelTag("tag 3", "val3")], params=[LoggedModelParameter("param1", "val1")]
).model_id
named = {first: "first", second: "second", third: "third"}
lives()
measures()
searches()
histories()
ends()
print(json.dumps(told))
