"""mlflow.genai.evaluate with scorers that ask no model, on rows, on a function, and on traces that are there."""

import json

import mlflow
from mlflow.entities import Feedback
from mlflow.genai import scorer
from mlflow.genai.scorers import RegexMatch, ResponseLength

mlflow.set_experiment("evaluate")


@scorer
def exact(outputs, expectations):
    return outputs == expectations["answer"]


@scorer(aggregations=["mean", "max"])
def words(outputs):
    return len(outputs.split())


@scorer
def explained(inputs, outputs):
    return Feedback(value="ok" if inputs["question"][0] in outputs else "off", rationale="by its first letter")


@scorer
def broken(outputs):
    raise ValueError("cannot say")


rows = [
    {"inputs": {"question": "a?"}, "outputs": "a b", "expectations": {"answer": "a b"}},
    {"inputs": {"question": "b?"}, "outputs": "wrong", "expectations": {"answer": "b"}},
    {"inputs": {"question": "c?"}, "outputs": "c d e", "expectations": {"answer": "c d e"}},
]
scorers = [exact, words, explained, broken, RegexMatch(pattern="[ab]"), ResponseLength(max_length=4)]
told = {}
on_rows = mlflow.genai.evaluate(data=rows, scorers=scorers)
told["rows"] = {key: round(value, 6) for key, value in sorted(on_rows.metrics.items())}


@mlflow.trace(span_type="LLM")
def generate(question):
    return question.upper()


def predict(question):
    if question == "c?":
        raise RuntimeError("no c")
    return generate(question)


plain = [{"inputs": row["inputs"], "expectations": {"answer": row["inputs"]["question"].upper()}} for row in rows]
on_function = mlflow.genai.evaluate(data=plain, predict_fn=predict, scorers=[exact, words])
told["function"] = {key: round(value, 6) for key, value in sorted(on_function.metrics.items())}

traces = mlflow.search_traces(run_id=on_function.run_id)
on_traces = mlflow.genai.evaluate(data=traces, scorers=[words])
told["traces"] = {key: round(value, 6) for key, value in sorted(on_traces.metrics.items())}

told["found"] = {
    query: len(mlflow.search_traces(filter_string=query, return_type="list"))
    for query in (
        "feedback.exact = 'true'",
        "expectation.answer = 'a b'",
        "trace.status = 'ERROR'",
        "span.type = 'LLM'",
    )
}
told["linked"] = {
    name: len(mlflow.search_traces(run_id=result.run_id, return_type="list"))
    for name, result in (("rows", on_rows), ("function", on_function), ("traces", on_traces))
}
told["columns"] = sorted(on_rows.tables["eval_results"].columns) if on_rows.tables else []
print(json.dumps(told))
