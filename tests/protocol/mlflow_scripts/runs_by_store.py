"""Experiments and runs through the client's REST store: keys, values, limits, histories, with the errors between."""

import json
import math

import mlflow
from mlflow.entities import Experiment, ExperimentTag, Metric, Param, RunStatus, RunTag
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds

store = RestStore(lambda: MlflowHostCreds(mlflow.get_tracking_uri()))
told = {}


def say(label, verb, *arguments, **named):
    """Keep what a call answers, or how it fails."""
    try:
        found = verb(*arguments, **named)
    except mlflow.MlflowException as error:
        found = error.error_code
    told[str(label)] = found if isinstance(found, str | int | float | list | dict | None) else "done"
    return found


def shown(run_id):
    run = store.get_run(run_id)
    metrics = {key: "nan" if math.isnan(value) else value for key, value in sorted(run.data.metrics.items())}
    return [run.info.run_name, run.info.status, run.info.lifecycle_stage, metrics, run.data.params, run.data.tags]


def history(run_id, key, **named):
    found = store.get_metric_history(run_id, key, **named)
    return [[str(p.value), p.timestamp, p.step] for p in found], bool(found.token)


def of(experiment: Experiment):
    return [experiment.name, experiment.lifecycle_stage, experiment.tags]


def experiments():
    one = store.create_experiment("one")
    two = store.create_experiment("two", tags=[ExperimentTag("k", "v"), ExperimentTag("k 2", "v2")])
    for name in ("one", "", "x" * 501):
        say(f"create {name[:5]} {len(name)}", store.create_experiment, name)
    for tag in (ExperimentTag("../a", "v"), ExperimentTag("a", "v" * 20_001)):
        say(f"tagged {tag.key}", store.create_experiment, "tagged", tags=[tag])
    for id in ("99999", "abc", two):
        say(f"get {id}", lambda id=id: of(store.get_experiment(id)))
    for key, length in (("long", 20_000), ("long", 20_001), ("k" * 251, 1)):
        say(f"set {len(key)} {length}", store.set_experiment_tag, two, ExperimentTag(key, "😀" * length))
    for key in ("long", "none"):
        say(f"untag {key}", store.delete_experiment_tag, two, key)
    for name in ("three", "a" * 501):
        say(f"rename {len(name)}", store.rename_experiment, two, name)
    for step in range(2):
        say(f"delete {step}", store.delete_experiment, two)
    say("its name", store.create_experiment, "three")
    say("tag a deleted one", store.set_experiment_tag, two, ExperimentTag("a", "b"))
    say("a run in a deleted one", store.create_run, two, "me", 0, [], "run")
    for step in range(2):
        say(f"restore {step}", store.restore_experiment, two)
    for filter in (
        *(
            "name LIKE 't%'",
            "name = 'three'",
            "tags.k = 'v'",
            "tag.`k 2` = 'v2'",
            "attribute.name != 'one'",
            "name IS NULL",
        ),
        *("tag.k IS NULL", "tags.k IS NOT NULL", "creation_time > 'x'", "creation_time > 5", "experiment_id IN ('0')"),
        *("name > 'a'", "foo = 'b'", "foo.bar = 'b'", "name = a", "name", "name = 'a' OR name = 'b'", "metrics.a > 1"),
        *("name ILIKE 'T%'", "tags.k > 'a'", "last_update_time >= 0", "name LIKE 't_r%'"),
    ):
        say(
            f"where {filter}",
            lambda filter=filter: [e.name for e in store.search_experiments(filter_string=filter, max_results=9)],
        )
    for order in (["name"], ["name DESC"], ["experiment_id DESC"], ["foo"], ["name foo"], ["metrics.x"]):
        say(
            f"order {order}",
            lambda order=order: [e.name for e in store.search_experiments(order_by=order, max_results=9)],
        )
    for limit in (0, 1_000_000):
        say(f"limit {limit}", store.search_experiments, max_results=limit)
    return one


def keys_and_values(experiment):
    run = store.create_run(experiment, "me", 1, [], "keys").info.run_id
    for key in (
        *(
            "a",
            "a b",
            "a/b",
            "../a",
            "/a",
            "a//b",
            ".",
            "",
            "a" * 250,
            "a" * 251,
            "é",
            "日本",
            "a:b",
            "a\nb",
            "a%",
            "-a",
        ),
        *("_", "a.b.c"),
    ):
        named = f"{key[:9]} {len(key)}"
        say(f"metric {named}", store.log_metric, run, Metric(key, 1.0, 1, 0))
        say(f"param {named}", store.log_param, run, Param(key, "1"))
        say(f"tag {named}", store.set_tag, run, RunTag(key, "1"))
    for number, value in enumerate((math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0, 1)):
        say(f"value {value}", store.log_metric, run, Metric(f"v{number}", value, 1, 0))
    for at, step in ((-1, 0), (0, 0), (2**63 - 1, 0), (1, -5), (1, 2**63 - 1), (1, -(2**63))):
        say(f"at {at} {step}", store.log_metric, run, Metric("place", 1.0, at, step))
    for length in (6000, 6001):
        say(f"param of {length}", store.log_param, run, Param(f"p{length}", "x" * length))
        say(f"tag of {length}", store.set_tag, run, RunTag(f"t{length}", "x" * (length + 2000)))
    say("param again", store.log_param, run, Param("p6000", "x" * 6000))
    say("param changed", store.log_param, run, Param("p6000", "y"))
    say("param empty", store.log_param, run, Param("empty", ""))
    say("all of it", shown, run)


def histories(experiment):
    run = store.create_run(experiment, "me", 2, [], "points").info.run_id
    for step, at, value in (
        (-1, 800, 800),
        (-3, 900, 900),
        (3, 50, 20),
        (3, 50, 20),
        (3, 50, 10),
        (3, 40, 100),
        (0, 100, 1000),
    ):
        store.log_metric(run, Metric("z", value, at, step))
    for named in ({}, {"max_results": 3}, {"max_results": 6}, {"max_results": 0}, {"max_results": -1}):
        say(f"history {named}", history, run, "z", **named)
    say("no such metric", history, run, "zz")
    say("bad token", history, run, "z", page_token="invalid_token")
    say("last", shown, run)


def names_and_tags(experiment):
    run = store.create_run(experiment, "me", 3, [RunTag("a", "1"), RunTag("../b", "2")], "first").info.run_id
    say("name and tag", store.create_run, experiment, "me", 5, [RunTag("mlflow.runName", "other")], "name")
    say("unnamed", lambda: len(store.create_run(experiment, "me", 4, [], None).info.run_name.split("-")))
    for id in ("99999", "abc"):
        say(f"in {id}", store.create_run, id, "me", 5, [], "x")
    say("renamed", lambda: store.update_run_info(run, None, None, "second").run_name)
    say("empty name", lambda: store.update_run_info(run, RunStatus.FINISHED, 1000, "").run_name)
    say("named by tag", store.set_tag, run, RunTag("mlflow.runName", "third"))
    say("named by an empty tag", store.set_tag, run, RunTag("mlflow.runName", ""))
    for key in ("a", "a"):
        say(f"untag {key} {len(told)}", store.delete_tag, run, key)
    say("after", shown, run)
    say("no run", store.update_run_info, "0" * 32, RunStatus.FINISHED, 1000, "")


def batches(experiment):
    run = store.create_run(experiment, "me", 5, [], "batch").info.run_id
    tags = [RunTag("t1", "a"), RunTag("mlflow.runName", "by batch")]
    say("batch", store.log_batch, run, [Metric("m1", 0.87, 12, 0), Metric("m2", 0.49, 12, 1)], [Param("p1", "v")], tags)
    for label, given in {
        "changes a param": ([Metric("x", 1.0, 1, 0)], [Param("p1", "other")], [RunTag("y", "z")]),
        "param twice": ([Metric("x", 1.0, 1, 0)], [Param("p", "1"), Param("p", "2")], []),
        "empty": ([], [], []),
        "tag twice": ([], [], [RunTag("tt", "1"), RunTag("tt", "2")]),
        "1001 metrics": ([Metric("m", float(n), n, 0) for n in range(1001)], [], []),
        "101 params": ([], [Param(f"q{n}", "") for n in range(101)], []),
        "101 tags": ([], [], [RunTag(f"q{n}", "") for n in range(101)]),
        "1001 items": ([Metric("m", float(n), n, 0) for n in range(1000)], [Param("q", "")], []),
        "1000 metrics": ([Metric(f"k{n % 30}", float(n), n, 0) for n in range(1000)], [], []),
        "point twice": ([Metric("s", 1.0, 2, 0)] * 2 + [Metric("s", math.nan, 2, 0)] * 2, [], []),
        "bad metric": ([Metric("ok", 1.0, 1, 0), Metric("../a", 1.0, 1, 0)], [], []),
        "bad time": ([Metric("ok", 1.0, 1, 0), Metric("a", 1.0, -1, 0)], [], []),
        "bad param": ([], [Param("ok", "1"), Param("../a", "1")], []),
        "bad tag": ([], [], [RunTag("../a", "1")]),
        "no key": ([], [Param("", "1")], []),
    }.items():
        say(f"batch {label}", store.log_batch, run, *given)
    for id in ("0" * 32, ""):
        say(f"batch of {id}", store.log_batch, id, [], [], [])
    say("points", history, run, "s")
    say("whole", shown, run)
    store.delete_run(run)
    for label, verb, given in (
        ("param", store.log_param, Param("z", "1")),
        ("metric", store.log_metric, Metric("z", 1.0, 1, 0)),
        ("tag", store.set_tag, RunTag("z", "1")),
        ("untag", store.delete_tag, "t1"),
        ("inputs", store.log_inputs, []),
    ):
        say(f"deleted {label}", verb, run, given)
    say("deleted batch", store.log_batch, run, [], [], [])
    say("deleted again", store.delete_run, run)
    say("restored", store.restore_run, run)
    for verb in (store.delete_run, store.restore_run, store.get_run):
        say(f"nothing to {verb.__name__}", verb, "0" * 32)


experiment = experiments()
keys_and_values(experiment)
histories(experiment)
names_and_tags(experiment)
batches(experiment)
print(json.dumps(told))
