"""Evaluation datasets: made, merged from rows, frames and traces, searched, changed, and evaluated on."""

import json

import mlflow
import pandas as pd
from mlflow.genai import datasets, scorer

experiment = mlflow.set_experiment("datasets").experiment_id
other = mlflow.create_experiment("datasets other")
told = {}


@mlflow.trace(name="answer")
def answer(question):
    return f"{question}!"


made = datasets.create_dataset(name="questions", experiment_id=[experiment], tags={"team": "blue"})
told["made"] = [made.name, made.tags["team"], made.experiment_ids == [experiment], made.schema, made.profile]
made.merge_records(
    [
        {"inputs": {"question": "a"}, "expectations": {"answer": "a!"}, "tags": {"kind": "easy"}},
        {"inputs": {"question": "b"}, "expectations": {"answer": "b?"}},
        {"inputs": {"question": "a"}, "expectations": {"also": 1.5}},
    ]
)
made.merge_records(pd.DataFrame([{"inputs": {"question": "c"}, "expectations": {"answer": "c!"}}]))
answer("d")
mlflow.flush_trace_async_logging()
trace = mlflow.search_traces(return_type="list")[0]
mlflow.log_expectation(trace_id=trace.info.trace_id, name="answer", value="d!")
made.merge_records(mlflow.search_traces(return_type="list"))

read = datasets.get_dataset(dataset_id=made.dataset_id)
frame = read.to_df()
told["schema"] = json.loads(read.schema)
told["profile"] = json.loads(read.profile)
told["rows"] = sorted(
    [row.inputs["question"], row.expectations, row.source_type, sorted(set(row.tags) - {"mlflow.user"}), row.outputs]
    for row in frame.itertuples()
)
told["columns"] = list(frame.columns)
told["changed"] = made.digest != read.digest


@scorer
def right(outputs, expectations):
    return outputs == expectations["answer"]


result = mlflow.genai.evaluate(data=read, predict_fn=answer, scorers=[right])
told["metrics"] = {key: round(value, 6) for key, value in sorted(result.metrics.items())}
run = mlflow.get_run(result.run_id)
told["input"] = [[one.dataset.name, one.dataset.digest == read.digest] for one in run.inputs.dataset_inputs]

datasets.set_dataset_tags(dataset_id=made.dataset_id, tags={"team": "red", "new": "1"})
datasets.delete_dataset_tag(dataset_id=made.dataset_id, key="new")
told["tags"] = datasets.get_dataset(dataset_id=made.dataset_id).tags["team"]
second = datasets.create_dataset(name="others", experiment_id=[other])
told["found"] = {
    query: sorted(one.name for one in datasets.search_datasets(filter_string=query))
    for query in ("name = 'questions'", "name LIKE '%s'", "tags.team = 'red'", "created_time > 0 AND name != 'others'")
}
told["by experiment"] = [one.name for one in datasets.search_datasets(experiment_ids=[other])]
told["ordered"] = [one.name for one in datasets.search_datasets(order_by=["name DESC"])]
datasets.add_dataset_to_experiments(dataset_id=second.dataset_id, experiment_ids=[experiment])
told["linked"] = sorted(one.name for one in datasets.search_datasets(experiment_ids=[experiment]))
datasets.remove_dataset_from_experiments(dataset_id=second.dataset_id, experiment_ids=[other])
told["unlinked"] = len(datasets.get_dataset(dataset_id=second.dataset_id).experiment_ids)
gone = read.delete_records([frame["dataset_record_id"][0]])
told["deleted"] = [gone, len(datasets.get_dataset(dataset_id=made.dataset_id).to_df())]
datasets.delete_dataset(dataset_id=second.dataset_id)
try:
    datasets.get_dataset(dataset_id=second.dataset_id)
except mlflow.MlflowException as error:
    told["gone"] = error.error_code
print(json.dumps(told))
