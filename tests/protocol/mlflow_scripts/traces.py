"""Traces as instrumented programs leave them: nested, failing, tagged and judged."""

import contextlib
import json

import mlflow
from mlflow.entities import AssessmentSource, SpanType

mlflow.set_experiment("traces")


@mlflow.trace(span_type=SpanType.RETRIEVER)
def retrieve(question):
    span = mlflow.get_current_active_span()
    span.set_attribute("k", 2)
    return ["one", "two"]


@mlflow.trace(name="answer", span_type=SpanType.CHAIN, attributes={"version": 3})
def answer(question):
    mlflow.update_current_trace(
        tags={"team": "blue"}, metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "ann"}
    )
    found = retrieve(question)
    if "fail" in question:
        raise ValueError("cannot")
    with mlflow.start_span("generate", span_type=SpanType.LLM) as span:
        span.set_inputs({"context": found})
        span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10})
        span.set_outputs("done")
    return "done"


answer("what?")
with contextlib.suppress(ValueError):
    answer("fail!")
mlflow.flush_trace_async_logging()

traces = mlflow.search_traces(return_type="list", order_by=["timestamp_ms ASC"])
first = traces[0]
mlflow.log_feedback(
    trace_id=first.info.trace_id, name="good", value=True, rationale="short", source=AssessmentSource("HUMAN", "ann")
)
mlflow.log_expectation(trace_id=first.info.trace_id, name="expected", value="done")
mlflow.set_trace_tag(first.info.trace_id, "colour", "red")
again = mlflow.get_trace(first.info.trace_id)
counts = {}
for query in (
    "tags.colour = 'red'",
    "trace.status = 'ERROR'",
    "span.name = 'generate'",
    "span.type = 'RETRIEVER'",
    "metadata.`mlflow.trace.user` = 'ann'",
    "feedback.good = 'true'",
    "span.name = 'nothing'",
    "trace.name LIKE 'ans%'",
):
    counts[query] = len(mlflow.search_traces(filter_string=query, return_type="list"))
print(
    json.dumps(
        {
            "states": [str(trace.info.state) for trace in traces],
            "spans": [
                [[s.name, s.span_type, str(s.status.status_code), s.inputs, s.outputs] for s in trace.data.spans]
                for trace in traces
            ],
            "events": [[e.name for s in t.data.spans for e in s.events] for t in traces],
            "tags": {k: v for k, v in again.info.tags.items() if not k.startswith("mlflow.")},
            "usage": again.info.token_usage,
            "previews": [again.info.request_preview, again.info.response_preview],
            "assessments": sorted(
                [a.name, a.value, a.rationale, a.source.source_type, a.source.source_id] for a in again.info.assessments
            ),
            "counts": counts,
        }
    )
)
