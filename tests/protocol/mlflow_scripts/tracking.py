"""Runs as scripts log them: nested, resumed, searched, deleted and restored, with the errors between."""

import json

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
told = []


def refused(what, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        told.append([what, error.error_code])
    else:
        told.append([what, "allowed"])


experiment = mlflow.set_experiment("runs")
client.set_experiment_tag(experiment.experiment_id, "owner", "me")
table = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
with mlflow.start_run(run_name="outer", tags={"kind": "parent"}, description="told") as outer:
    mlflow.log_input(mlflow.data.from_pandas(table, name="table", targets="b"), context="training")
    mlflow.log_params({"depth": 3, "text": "x" * 100})
    for step in range(5):
        mlflow.log_metrics({"loss": 1 / (step + 1), "nan": float("nan"), "inf": float("inf")}, step=step)
    with mlflow.start_run(run_name="inner", nested=True):
        mlflow.log_metric("loss", 0.05)
with mlflow.start_run(run_id=outer.info.run_id):
    mlflow.set_tag("resumed", "yes")
    refused("param", client.log_param, outer.info.run_id, "depth", 4)
refused("bad key", client.log_metric, outer.info.run_id, "a\nb", 1.0)
refused("no run", client.get_run, "0" * 32)

batch = mlflow.MlflowClient().create_run(experiment.experiment_id, run_name="batch")
client.log_batch(
    batch.info.run_id,
    metrics=[Metric("m", float(n), 1000 + n, n) for n in range(500)],
    params=[Param(f"p{n}", str(n)) for n in range(50)],
    tags=[RunTag("a tag", "a 'quoted' \"tag\"")],
)
client.set_terminated(batch.info.run_id, "KILLED")
told.append(["points", [point.value for point in client.get_metric_history(batch.info.run_id, "m")][:3]])

for query in (
    "metrics.loss < 0.1",
    "params.depth = '3'",
    "tags.kind = 'parent' and metrics.loss <= 0.2",
    "attributes.status = 'KILLED'",
    "tags.\"a tag\" LIKE '%quoted%'",
    "attributes.run_name ILIKE 'IN%'",
    "datasets.name = 'table'",
    "metrics.m > 498.5 AND params.p1 != '2'",
):
    found = client.search_runs([experiment.experiment_id], query, order_by=["attributes.run_name DESC"])
    told.append([query, [run.info.run_name for run in found]])
refused("bad list", client.search_runs, [experiment.experiment_id], "params.p7 IN ('7', '8')")
refused("bad filter", client.search_runs, [experiment.experiment_id], "metrics.loss LIKE 'x'")

client.delete_run(batch.info.run_id)
told.append(["active", len(client.search_runs([experiment.experiment_id]))])
client.restore_run(batch.info.run_id)
told.append(["restored", len(client.search_runs([experiment.experiment_id]))])
client.delete_experiment(experiment.experiment_id)
told.append(["deleted", client.get_experiment(experiment.experiment_id).lifecycle_stage])
client.restore_experiment(experiment.experiment_id)
pages, token = [], None
while True:
    page = client.search_runs([experiment.experiment_id], max_results=2, order_by=["run_name"], page_token=token)
    pages.append([run.info.run_name for run in page])
    token = page.token
    if not token:
        break
told.append(["pages", pages])
print(json.dumps(told))
