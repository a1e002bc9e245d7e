"""Traces through the client's REST store: searches, orders, merges, totals and measures, with the errors between."""

import json
import math
import re
import uuid

import mlflow
from mlflow.entities import AssessmentSource, Expectation, Feedback
from mlflow.entities.assessment import ExpectationValue, FeedbackValue, IssueReference
from mlflow.entities.model_registry import PromptVersion
from mlflow.entities.span import Span
from mlflow.entities.trace_info import TraceInfo
from mlflow.entities.trace_location import TraceLocation
from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
from mlflow.entities.trace_state import TraceState
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

store = RestStore(lambda: MlflowHostCreds(mlflow.get_tracking_uri()))
told = {}
SECOND = 10**9
PERSON = AssessmentSource("HUMAN", "ann")


def say(label, verb, *arguments, **named):
    """Keep what a call answers, or how it fails."""
    try:
        found = verb(*arguments, **named)
    except mlflow.MlflowException as error:
        words = re.sub(r"\d+", "N", error.message.split(": ", 1)[-1])
        found = f"{error.error_code}: {re.split('[.,{]', words)[0][:34]}"
    told[str(label)] = found
    return found


def start(trace_id, experiment_id, at=0, took=0, state="OK", tags=None, metadata=None, **more):
    place = TraceLocation.from_experiment_id(experiment_id)
    given = TraceInfo(trace_id, place, at, TraceState(state), execution_duration=took, **more)
    given.tags, given.trace_metadata = tags or {}, metadata or {}
    return store.start_trace(given)


def span(number, name, id, parent=None, status="UNSET", begin=1, end=2, type="LLM", resource=None, **attributes):
    def context(span_id):
        return SpanContext(number, span_id, False, TraceFlags(1))

    known = {"mlflow.traceRequestId": f"tr-{number:032x}", "mlflow.spanType": type, **attributes}
    return Span(
        ReadableSpan(
            name=name,
            context=context(id),
            parent=context(parent) if parent else None,
            attributes={key: json.dumps(value) for key, value in known.items() if value is not None},
            start_time=int(begin * SECOND),
            end_time=int(end * SECOND),
            status=Status(getattr(StatusCode, status)),
            resource=resource or Resource.get_empty(),
        )
    )


def shown(info):
    tags = {k: v for k, v in info.tags.items() if k != "mlflow.artifactLocation"}
    return [
        str(info.state),
        info.request_time,
        info.execution_duration,
        tags,
        info.trace_metadata,
        info.request_preview,
    ]


def info_of(number):
    return shown(store.get_trace_info(f"tr-{number:032x}"))


def found_by(experiments, filter="", order=(), last=1):
    traces, _ = store.search_traces(locations=experiments, filter_string=filter, order_by=list(order))
    return [trace.trace_id[-last:] for trace in traces]


def searching():
    one, other = store.create_experiment("search one"), store.create_experiment("search other")
    both = [one, other]
    start("tr-s0", other, 0, 6, tags={"mlflow.traceName": "ddd"}, metadata={"mlflow.sourceRun": "run0"})
    start("tr-s1", other, 1, 2, "ERROR", {"mlflow.traceName": "aaa", "fruit": "apple", "color": "red"})
    start("tr-s2", one, 2, 4, "STATE_UNSPECIFIED", {"fruit": "apple", "color": "green"}, client_request_id="req-ABC")
    start("tr-s3", one, 3, 10, tags={"fruit": "orange"}, metadata={"version": "v1.2.3"})
    start("tr-s4", one, 4, None, "IN_PROGRESS", {"mlflow.traceName": "ddd", "color": "blue"}, client_request_id="req-9")
    for order in (
        *([], ["timestamp"], ["execution_time DESC", "timestamp ASC"], ["experiment_id"], ["status"], ["name"]),
        *(
            ["tag.fruit"],
            ["tag.fruit", "tag.color"],
            ["tag.none"],
            ["run_id"],
            ["request_id desc"],
            ["metadata.version"],
        ),
        *(["foo.bar"], ["timestamp down"], ["span.name"], ["client_request_id"]),
    ):
        say(f"order {order}", found_by, both, order=order)
    for clause in (
        *(
            "name = 'aaa'",
            "name != 'aaa'",
            "status = 'OK'",
            "trace.status != 'OK'",
            "`timestamp` >= 1 AND execution_time < 10",
        ),
        *(
            "timestamp > 1",
            "trace.timestamp_ms != 2",
            "tags.fruit = 'apple' and tags.color != 'red'",
            "run_id = 'run0'",
        ),
        *("request_metadata.`mlflow.sourceRun` = 'run0'", "metadata.mlflow.sourceRun != 'run0'", "name IS NULL"),
        *("status IN ('OK', 'ERROR')", "status NOT IN ('OK')", "trace.client_request_id LIKE '%ABC%'"),
        *("trace.client_request_id ILIKE '%abc%'", "trace.client_request_id RLIKE '[0-9]$'", "name LIKE 'D%'"),
        *("tag.color IS NULL", "tag.color IS NOT NULL", "metadata.version RLIKE 'v[0-9]+\\.[0-9]+'", "name ILIKE 'D%'"),
        *(
            "end_time_ms > 8",
            "execution_time_ms >= 4",
            "status LIKE 'O%'",
            "request_id = 'tr-s0'",
            "execution_time > 3.5",
        ),
        *("invalid", "foo.bar = 'baz'", "invalid = 'foo'", "trace.tags.foo = 'bar'", "trace.status < 'OK'"),
        *(
            "name IN ('foo')",
            "prompt = 'a'",
            "prompt LIKE 'a/1'",
            "prompt = 'a/1'",
            "span.duration = '1'",
            "issue.id != 'x'",
        ),
        *("span.content = 'x'", "span.name < 'x'", "feedback.a > 'x'", "feedback.a = 3", "issue.foo = 'x'"),
        *("metadata.mlflow.trace.tokenUsage LIKE 'x'", 'tag.`fruit` = "apple"', "status = 'OK' OR status = 'ERROR'"),
    ):
        say(f"where {clause}", found_by, both, clause)
    for limit in (501, -1, 0):
        say(f"limit {limit}", store.search_traces, locations=both, max_results=limit)
    say("bad token", store.search_traces, locations=both, page_token="nonsense")
    say("no experiment", start, "tr-none", "987654")
    store.delete_experiment(one)
    say("deleted experiment", start, "tr-none", one)
    say("still found", found_by, both)


def tagging():
    experiment = store.create_experiment("tags")
    start("tr-tagged", experiment)
    say("own tag", store.delete_trace_tag, "tr-tagged", "mlflow.artifactLocation")
    say("own tag again", store.delete_trace_tag, "tr-tagged", "mlflow.artifactLocation")
    for key, value in (("a", "1"), ("a", "2"), ("long", "v" * 9000), ("mlflow.traceName", "named")):
        say(f"set {key} {len(value)}", store.set_trace_tag, "tr-tagged", key, value)
    say("tags", lambda: {k: len(v) for k, v in store.get_trace_info("tr-tagged").tags.items()})
    for key in ("a", "a", "mlflow.traceName", "mlflow.traceName", "mlflow.trace.spansLocation"):
        say(f"remove {key} {len(told)}", store.delete_trace_tag, "tr-tagged", key)
    for key in ("bad?key", "../", "a" * 251, "", "mlflow.trace.spansLocation"):
        say(f"bad {key[:9]}", store.set_trace_tag, "tr-tagged", key, "v")
    for verb, more in ((store.get_trace_info, ()), (store.delete_trace_tag, ("x",))):
        say(f"none {verb.__name__}", verb, "tr-nowhere", *more)
    for number in range(6):
        start(f"tr-deleted{number}", experiment, number)
    for label, named in (
        ("nothing", {}),
        ("both", {"max_timestamp_millis": 9, "trace_ids": ["x"]}),
        ("none", {"max_timestamp_millis": 9, "max_traces": 0}),
        ("old", {"max_timestamp_millis": 1}),
        ("oldest", {"max_timestamp_millis": 9, "max_traces": 3}),
        ("by id", {"trace_ids": ["tr-deleted5", "tr-nowhere"]}),
    ):
        say(f"delete {label}", store.delete_traces, experiment, **named)
    say("left", found_by, [experiment])


def merging():
    experiment = store.create_experiment("merging")
    base = uuid.uuid4().int & ~0xFF

    def log(number, *spans):
        store.log_spans(experiment, [span(base + number, *given, **named) for given, named in spans])
        say(f"merged {number} {len(told)}", info_of, base + number)

    log(1, (("early", 1, 9), {"begin": 1, "end": 2}))
    log(1, (("longer", 2, 9), {"begin": 0.5, "end": 3}))
    labels = {"mlflow.traceTag.color": "red", "mlflow.traceTag.bad?": "x", "mlflow.traceTag.mlflow.traceName": "named"}
    log(
        1,
        (
            ("root", 9),
            {"status": "ERROR", "end": 4, "session.id": "s", "user.id": "u", "mlflow.spanInputs": [1], **labels},
        ),
    )
    log(1, (("second root", 8), {"begin": 0.5, "status": "OK", "mlflow.spanInputs": "late"}))
    place = Resource({"service.name": "shop", "telemetry.sdk.name": "x", "mlflow.evil": "y", "pid": 12, "up": True})
    log(2, (("root", 1), {"resource": place, "mlflow.traceTag.service.name": "mine"}))

    def usage(read, written, cost=0.5):
        tokens = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        costs = {"input_cost": cost, "output_cost": cost, "total_cost": 2 * cost}
        return {"mlflow.chat.tokenUsage": tokens, "mlflow.llm.cost": costs}

    parts = [(("call", 10 + number, 1), usage(40, 5)) for number in range(3)]
    log(3, *parts, (("agent", 1), usage(120, 15, 1)))
    log(4, *parts)
    log(4, (("agent", 1), usage(120, 15, 1)))
    log(5, (("call", 1), usage(100, 50)))
    log(5, (("call", 1), usage(300, 100)), (("other", 2), usage(20, 10)))
    start(
        f"tr-{base + 6:032x}",
        experiment,
        1000,
        1000,
        metadata={"mlflow.trace.tokenUsage": '{"input_tokens": 7, "output_tokens": 7, "total_tokens": 14}'},
    )
    log(6, (("call", 1), usage(1, 1)))
    semantic = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": "6"}
    talk = {"gen_ai.input.messages": [{"role": "user", "content": "hey"}], "gen_ai.output.messages": "text"}
    log(7, (("chat", 1), {"type": None, "gen_ai.request.model": "some-model", **semantic, **talk}))
    log(8, (("find", 1), {"type": None, "openinference.span.kind": "RETRIEVER", "input.value": '{"a": 1}'}))
    for number in (7, 8):
        found = store.get_trace(f"tr-{base + number:032x}").data.spans[0]
        say(f"read {number}", lambda f=found: {k: v for k, v in f.attributes.items() if k != "mlflow.traceRequestId"})
    say("spans of no experiment", store.log_spans, "987654", [span(base + 9, "x", 1)])
    log(10, (("database_query", 1), {"status": "OK", "type": "FUNCTION", "model": "gpt-4", "temperature": 0.7}))
    log(11, (("api_call", 1), {"status": "ERROR", "type": "TOOL", "model": "claude-3", "flag": True}))
    log(12, (("database_update", 1), {"type": "FUNCTION", "similarity.threshold": 0.8, "list": ["doc1"]}))
    for clause in (
        *(
            'name = "database_query"',
            'name LIKE "database%"',
            'name != "api_call"',
            'name RLIKE "^data"',
            'type = "TOOL"',
        ),
        *(
            'type IN ("TOOL", "FUNCTION")',
            'status = "OK"',
            'status != "ERROR"',
            'content LIKE "%gpt-4%"',
            'name ILIKE "API%"',
        ),
        *('attributes.model LIKE "%gpt%"', 'attributes.temperature LIKE "%0.7%"', 'attributes.model RLIKE "^claude"'),
        *(
            'attributes.similarity.threshold LIKE "%0.8%"',
            'type = "FUNCTION" AND span.status = "OK"',
            'attributes. = "x"',
        ),
    ):
        say(f"span {clause}", lambda c=clause: sorted(found_by([experiment], f"span.{c}", last=2)))


def judging():
    experiment = store.create_experiment("judging")
    for number in range(8):
        start(f"tr-j{number}", experiment, number, metadata={"mlflow.trace.session": "A"} if number > 5 else {})
    for number, value in enumerate((2, 3.0, 3.5, "high", True)):
        store.create_assessment(Feedback(trace_id=f"tr-j{number}", name="score", value=value, source=PERSON))
    store.create_assessment(Feedback(trace_id="tr-j0", name="note", value='Great, "very" helpful', source=PERSON))
    store.create_assessment(
        Feedback(trace_id="tr-j6", name="calm", value="yes", source=PERSON, metadata={"mlflow.trace.session": "A"})
    )
    first = store.create_assessment(Feedback(trace_id="tr-j5", name="verdict", value="no", source=PERSON))
    store.create_assessment(
        Feedback(trace_id="tr-j5", name="verdict", value="yes", source=PERSON, overrides=first.assessment_id)
    )
    store.create_assessment(IssueReference(issue_id="iss-7", issue_name="slow", trace_id="tr-j2"))
    for clause in (
        *(
            "feedback.score > 2",
            "feedback.score >= 3.5",
            "feedback.score < 3",
            'feedback.score = "true"',
            'issue.id = "iss-7"',
        ),
        *(
            'feedback.score = "high"',
            'feedback.score != "high"',
            'feedback.note LIKE "%helpful%"',
            "feedback.score IS NULL",
        ),
        *('feedback.calm = "yes"', "feedback.calm IS NOT NULL", "feedback.calm IS NULL", 'feedback.verdict = "no"'),
        *('feedback.verdict = "yes"', "feedback.score > 0 AND feedback.score < 3"),
    ):
        say(f"judged {clause}", found_by, [experiment], clause)
    expected = store.create_assessment(Expectation(trace_id="tr-j1", name="size", value={"a": [1.5]}, source=PERSON))
    for label, id, named in (
        ("value", first.assessment_id, {"feedback": FeedbackValue(0.5), "metadata": {"z": "1"}}),
        ("reason", first.assessment_id, {"rationale": "because", "name": "renamed"}),
        ("kind", first.assessment_id, {"expectation": ExpectationValue("x")}),
        ("other kind", expected.assessment_id, {"feedback": FeedbackValue(1)}),
        ("missing", "a-none", {"rationale": "x"}),
    ):
        trace = "tr-j1" if id == expected.assessment_id else "tr-j5"
        found = say(f"update {label}", store.update_assessment, trace, id, **named)
        told[f"update {label}"] = found if isinstance(found, str) else [found.name, found.value, found.metadata]
    say("override nothing", store.create_assessment, Feedback(trace_id="tr-j0", name="x", value=1, overrides="a-none"))
    say("judge nothing", store.create_assessment, Feedback(trace_id="tr-none", name="x", value=1))
    say("delete nothing", store.delete_assessment, "tr-j0", "a-none")


def linking():
    experiment = store.create_experiment("linking")
    for number in range(4):
        start(f"tr-l{number}", experiment, number, metadata={"mlflow.sourceRun": "runX"} if number == 3 else {})
    say("link", store.link_traces_to_run, ["tr-l0", "tr-l1", "tr-unknown"], "runX")
    say("link too many", store.link_traces_to_run, [f"tr-{n}" for n in range(101)], "runX")
    for trace, prompts in (("tr-l0", [("pa", 1), ("pb", 2)]), ("tr-l1", [("pa", 1)]), ("tr-none", [("pa", 1)])):
        versions = [PromptVersion(name, version, "") for name, version in prompts]
        say(f"prompts of {trace}", store.link_prompts_to_trace, trace, versions)
    for clause in ("run_id = 'runX'", "prompt = 'pa/1'", "prompt = 'pb/2'", "run_id = 'runX' AND prompt = 'pa/1'"):
        say(f"linked {clause}", found_by, [experiment], clause)
    for one, two, base in (
        ("run_id = 'runX'", "prompt = 'pa/1'", None),
        ("timestamp > 1", "timestamp < 2", None),
        ("timestamp > 0", "timestamp > 1", "timestamp < 3"),
        ("status = 'ERROR'", "timestamp > 1", None),
    ):
        found = store.calculate_trace_filter_correlation([experiment], one, two, base)
        counts = [found.filter1_count, found.filter2_count, found.joint_count, found.total_count]
        scores = [
            None if score is None or math.isnan(score) else round(score, 9)
            for score in (found.npmi, found.npmi_smoothed)
        ]
        told[f"correlation {one} {two} {base}"] = [*counts, *scores]


def measured():
    experiment = store.create_experiment("measuring")
    base, begin = uuid.uuid4().int & ~0xFF, 3600 * 1000 * 500_000
    for number in range(7):
        at = begin + number * 20 * 60 * 1000
        usage = {"input_tokens": number, "output_tokens": 2 * number, "total_tokens": 3 * number}
        metadata = {"mlflow.trace.tokenUsage": json.dumps(usage), "mlflow.sourceRun": f"r{number % 2}"}
        if number:
            metadata["mlflow.trace.session"] = f"s{number % 3}"
        tags = {"mlflow.traceName": "first" if number < 4 else "second", "env": "p" if number % 2 else "q"}
        start(
            f"tr-{base + number:032x}",
            experiment,
            at,
            100 + number * 10,
            "ERROR" if number == 3 else "OK",
            tags,
            metadata,
        )
        verdict = ("yes", "no", True, 3.5, "x", 2.5, "yes")[number]
        store.create_assessment(Feedback(trace_id=f"tr-{base + number:032x}", name="q", value=verdict))
        costs = {
            "mlflow.llm.cost": {"input_cost": 0.5 * number, "output_cost": 0.25, "total_cost": 0.25 + 0.5 * number}
        }
        named = {"mlflow.llm.model": f"m{number % 2}", "mlflow.llm.provider": "acme", **costs}
        times = {"begin": at / 1000, "end": at / 1000 + 0.5, "type": "LLM" if number % 2 else "TOOL"}
        store.log_spans(
            experiment,
            [span(base + number, f"sp{number % 2}", 1, status=("OK", "ERROR")[number % 2], **times, **named)],
        )
    return experiment, begin


def measuring():
    experiment, begin = measured()

    def measure(view, metric, *kinds, **named):
        asked = [
            MetricAggregation(AggregationType(k), p)
            for k, p in (k if isinstance(k, tuple) else (k, None) for k in kinds)
        ]
        points = store.query_trace_metrics([experiment], MetricViewType(view), metric, asked, **named)
        return [[point.dimensions, point.values] for point in points]

    hourly = {"time_interval_seconds": 3600, "start_time_ms": begin, "end_time_ms": begin + 10**8}
    spread = ("AVG", "MIN", "MAX", ("PERCENTILE", 50), ("PERCENTILE", 95.5))
    for view, metric, kinds, named in (
        ("TRACES", "trace_count", ["COUNT"], {"dimensions": ["trace_status", "trace_name"]}),
        ("TRACES", "session_count", ["COUNT"], {}),
        ("TRACES", "latency", spread, {"dimensions": ["trace_name"]}),
        ("TRACES", "total_tokens", ["SUM", "AVG", ("PERCENTILE", 75)], {}),
        ("TRACES", "cache_read_input_tokens", ["SUM"], {}),
        ("TRACES", "trace_count", ["COUNT"], hourly),
        ("TRACES", "trace_count", ["COUNT"], {"start_time_ms": begin + 1_200_000, "end_time_ms": begin + 2_400_000}),
        *(
            ("TRACES", "trace_count", ["COUNT"], {"filters": [clause]})
            for clause in (
                *(
                    "trace.status = 'OK'",
                    "trace.tag.env = 'p'",
                    "trace.tag.`mlflow.traceName` = 'first'",
                    "span.name = 'x'",
                ),
                *(
                    "trace.metadata.`mlflow.sourceRun` = 'r1'",
                    "trace.metadata.`mlflow.trace.session` = 's1'",
                    "trace.tag = 'x'",
                ),
                *(
                    "trace.status != 'OK'",
                    "trace.status = 5",
                    "foo.status = 'x'",
                    "trace.foo = 'x'",
                    "trace.status.x = 'y'",
                ),
            )
        ),
        ("SPANS", "span_count", ["COUNT"], {"dimensions": ["span_name", "span_status", "span_type"]}),
        ("SPANS", "latency", spread, {"dimensions": ["span_name"]}),
        ("SPANS", "total_cost", ["SUM", "AVG"], {"dimensions": ["span_model_name"]}),
        ("SPANS", "input_cost", ["SUM"], hourly),
        ("SPANS", "span_count", ["COUNT"], {"filters": ["span.name = 'sp1'", "trace.status = 'OK'"]}),
        ("ASSESSMENTS", "assessment_count", ["COUNT"], {"dimensions": ["assessment_name", "assessment_value"]}),
        ("ASSESSMENTS", "assessment_value", ["AVG", ("PERCENTILE", 50)], {"dimensions": ["assessment_name"]}),
        (
            "ASSESSMENTS",
            "assessment_count",
            ["COUNT"],
            {"filters": ["assessment.type = 'feedback'", "trace.status = 'OK'"]},
        ),
        ("TRACES", "nothing", ["COUNT"], {}),
        ("TRACES", "trace_count", ["AVG"], {}),
        ("TRACES", "trace_count", ["COUNT"], {"dimensions": ["span_name"]}),
        ("TRACES", "trace_count", ["COUNT"], {"time_interval_seconds": 60}),
        ("TRACES", "trace_count", ["COUNT"], {"dimensions": ["trace_name"], "max_results": 1}),
    ):
        label = {k: (v - begin if "time_ms" in k else v) for k, v in named.items()}
        say(f"measure {view} {metric} {kinds} {label}", measure, view, metric, *kinds, **named)


for story in (searching, tagging, merging, judging, linking, measuring):
    story()
print(json.dumps(told))
