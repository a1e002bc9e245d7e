"""Traces in every way a program makes them: async, streamed, failing, linked, with files, judged, revised and deleted."""

import asyncio
import contextlib
import json

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import AssessmentError, AssessmentSource, Link, SpanType
from mlflow.tracing.attachments import Attachment

client = MlflowClient()
experiment = mlflow.set_experiment("traces in depth")
told = {}


@mlflow.trace(span_type=SpanType.TOOL)
async def look_up(word):
    await asyncio.sleep(0.001)
    if word == "bad":
        raise LookupError(f"no {word}")
    return {"word": word, "weights": [0.25, 1], "none": None}


@mlflow.trace(name="gather")
async def gather(words):
    return await asyncio.gather(*(look_up(word) for word in words), return_exceptions=True)


@mlflow.trace(output_reducer=lambda parts: "".join(parts))
def stream():
    yield from ("é", "a", "日本")


asyncio.run(gather(["one", "bad"]))
list(stream())

with mlflow.start_span("with everything", span_type="CUSTOM") as span:
    span.set_inputs({"text": "naïve", "number": 3, "share": 0.5, "yes": True, "list": [1, "a", None], "map": {"k": {}}})
    span.set_attributes({"plain": "text", "json": '{"a": 1}', "count": 7, "nothing": None})
    span.add_link(Link(trace_id="tr-" + "ab" * 16, span_id="cd" * 8, attributes={"why": "caused", "times": 2}))
    span.set_status("ERROR")
    mlflow.update_current_trace(
        tags={"team": "blue", "long": "x" * 300},
        client_request_id="client-7",
        request_preview="what was asked",
        response_preview="what was said",
    )

with mlflow.start_span("chat", span_type=SpanType.CHAT_MODEL) as span:
    span.set_inputs({"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "how?"}]})
    span.set_outputs({"choices": [{"message": {"role": "assistant", "content": "so"}}]})
    span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16})
    span.set_attribute("mlflow.llm.cost", {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75})

with mlflow.start_span("picture") as span:
    span.set_inputs({"image": Attachment(content_type="image/png", content_bytes=b"\x89PNG-not-really")})

with contextlib.suppress(ZeroDivisionError), mlflow.start_span("fails"):
    print(1 / 0)

started = client.start_trace("by hand", inputs={"x": 1}, tags={"hand": "made"})
child = client.start_span("part", trace_id=started.trace_id, parent_id=started.span_id, inputs=[1, 2])
client.end_span(trace_id=started.trace_id, span_id=child.span_id, outputs="done", attributes={"k": [1]})
client.end_trace(trace_id=started.trace_id, outputs={"y": 2}, status="OK")
mlflow.flush_trace_async_logging()


def shown(trace):
    names = {span.span_id: span.name for span in trace.data.spans}
    return {
        "state": str(trace.info.state),
        "tags": {k: v for k, v in trace.info.tags.items() if k != "mlflow.artifactLocation"},
        "metadata": sorted(k for k in trace.info.trace_metadata if not k.startswith("mlflow.source")),
        "usage": [trace.info.token_usage, trace.info.cost],
        "previews": [
            str(trace.info.request_preview).split("://")[0],
            trace.info.response_preview,
            trace.info.client_request_id,
        ],
        "spans": [
            {
                "name": span.name,
                "type": span.span_type,
                "parent": names.get(span.parent_id),
                "inputs": span.inputs if span.name != "picture" else None,
                "outputs": span.outputs,
                "status": [str(span.status.status_code), span.status.description],
                "events": [[event.name, sorted(event.attributes)] for event in span.events],
                "links": [link.to_dict() for link in span.links],
                "attributes": {
                    k: v for k, v in span.attributes.items() if k.startswith(("plain", "json", "count", "no", "k"))
                },
            }
            for span in sorted(trace.data.spans, key=lambda span: (span.start_time_ns, span.name))
        ],
    }


found = mlflow.search_traces(return_type="list", order_by=["timestamp_ms ASC"], max_results=100)
by_name = {trace.info.tags["mlflow.traceName"]: trace for trace in found}
told["traces"] = {name: shown(trace) for name, trace in sorted(by_name.items())}
told["again"] = {name: shown(mlflow.get_trace(trace.info.trace_id)) for name, trace in sorted(by_name.items())}

with_file = mlflow.get_trace(by_name["picture"].info.trace_id).data.spans[0].inputs["image"]
attachment_id = str(with_file).removeprefix("mlflow-attachment://").split("?")[0]
files = f"{mlflow.get_tracking_uri()}/ajax-api/2.0/mlflow/get-trace-artifact"
picture = by_name["picture"].info.trace_id
got = requests.get(files, params={"request_id": picture, "path": attachment_id}, timeout=30)
told["attachment"] = [got.status_code, got.content.decode("latin-1")]
kept = requests.get(files, params={"request_id": by_name["with everything"].info.trace_id}, timeout=30)
kept = json.loads(kept.content.decode())["spans"]
told["kept"] = [{k: v for k, v in span.items() if k in ("name", "status", "links", "events")} for span in kept]
told["kept attributes"] = {k: v for k, v in kept[0]["attributes"].items() if k != "mlflow.traceRequestId"}
missing = [requests.get(files, params=p, timeout=30).status_code for p in ({}, {"request_id": "tr-none"})]
told["no file"] = missing

first = by_name["chat"].info.trace_id
judge = AssessmentSource("LLM_JUDGE", "judge-1")
good = mlflow.log_feedback(trace_id=first, name="good", value=0.5, rationale="half", source=judge, metadata={"a": "b"})
mlflow.log_feedback(trace_id=first, name="broken", error=AssessmentError("TIMEOUT", "too slow"), source=judge)
wanted = mlflow.log_expectation(trace_id=first, name="wanted", value={"list": [1, 2], "text": "so"})
fixed = mlflow.override_feedback(trace_id=first, assessment_id=good.assessment_id, value=1.0, rationale="whole")
told["override"] = [mlflow.get_assessment(first, a.assessment_id).valid for a in (good, fixed)]
changed = mlflow.update_assessment(
    trace_id=first,
    assessment_id=wanted.assessment_id,
    assessment=mlflow.entities.Expectation(name="wanted", value="other"),
)
told["changed"] = [changed.name, changed.value, changed.source.source_type]
mlflow.delete_assessment(first, fixed.assessment_id)
told["restored"] = mlflow.get_assessment(first, good.assessment_id).valid
told["assessments"] = sorted(
    [a.name, type(a).__name__, a.value, a.rationale, a.valid, a.error and a.error.error_code]
    for a in mlflow.get_trace(first).info.assessments
)

with mlflow.start_run() as run, mlflow.start_span("inside a run"):
    pass
mlflow.flush_trace_async_logging()
client.link_traces_to_run([first], run.info.run_id)
of_run = mlflow.search_traces(run_id=run.info.run_id, return_type="list", order_by=["timestamp ASC"])
told["of run"] = [trace.info.tags["mlflow.traceName"] for trace in of_run]

client.set_trace_tag(first, "state", "checked")
client.set_trace_tag(first, "gone", "soon")
client.delete_trace_tag(first, "gone")
told["tags"] = {k: v for k, v in mlflow.get_trace(first).info.tags.items() if not k.startswith("mlflow.")}

counts = {}
for query in (
    "span.status = 'ERROR'",
    "span.type = 'TOOL' AND span.status = 'ERROR'",
    "span.attributes.plain LIKE '%ext%'",
    "trace.text LIKE '%naïve%'",
    "trace.client_request_id = 'client-7'",
    "feedback.good > 0.25",
    "expectation.wanted = 'other'",
    "tag.team IS NOT NULL",
    "tag.state = 'checked' AND trace.status = 'OK'",
    "trace.name IN ('chat')",
    "trace.name RLIKE '^(chat|fails)$'",
    "metadata.`mlflow.sourceRun` IS NULL",
    "execution_time_ms >= 0",
):
    try:
        counts[query] = len(mlflow.search_traces(filter_string=query, return_type="list"))
    except mlflow.MlflowException as error:
        counts[query] = error.error_code
told["counts"] = counts

pages, token = [], None
while True:
    page = client.search_traces(
        [experiment.experiment_id], max_results=3, page_token=token, order_by=["name", "timestamp_ms"]
    )
    pages += [[trace.info.tags["mlflow.traceName"] for trace in page]] if page else []
    token = page.token
    if not token:
        break
told["pages"] = pages

# The picture's id is another on each server, so what is left behind could not be compared.
told["deleted"] = client.delete_traces(experiment.experiment_id, trace_ids=[first, picture])
told["left"] = len(mlflow.search_traces(return_type="list", max_results=100))
told["nothing"] = mlflow.get_trace(first, silent=True)
print(json.dumps(told))
