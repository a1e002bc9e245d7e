"""Traces with their spans and assessments, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from twinloop.control.tracing.info import STATUSES, Assessment, key_of
from twinloop.control.tracing.model import Span, SpanEvent
from twinloop.control.transfer.imported_traces import ImportedTrace, TraceSums, clean, sums_of
from twinloop.control.transfer.model import Outcome, Sum
from twinloop.core.errors import TwinloopError
from twinloop.sdk.transfer.checkpoint import Checkpoint
from twinloop.sdk.transfer.file_copy import FileCopy, Files
from twinloop.sdk.transfer.found import FoundAssessment, FoundExperiment, FoundFile, FoundSpan, FoundTrace, Source
from twinloop.sdk.transfer.report import Line, Tally
from twinloop.sdk.transfer.runs_copy import fingerprint
from twinloop.sdk.transfer.sink import Sink
from twinloop.sdk.transfer.spans import from_content

_AT = "/api/v1/transfer"
_SHAPES = ("traces", "spans", "assessments")
_SPANS_FILE = "traces.json"
_SPANS_LIMIT = 64 * 2**20
_PAGE = 200
_UNDER_WAY = "IN_PROGRESS"


class TraceCopy:
    """Copies traces that have changed since they were copied last."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        checkpoint: Checkpoint,
        files: FileCopy | None,
        *,
        writing: bool,
        recheck: bool,
    ) -> None:
        self._source = source
        self._sink = sink
        self._checkpoint = checkpoint
        self._files = files
        self._writing = writing
        self._recheck = recheck
        self.left_out: Counter[str] = Counter()

    def traces(self, experiment: FoundExperiment, number: int) -> Iterator[int]:
        for page in self._source.traces(experiment.id):
            seen = {trace.id: "" if trace.state == _UNDER_WAY else fingerprint(trace) for trace in page}
            fresh = self._fresh(seen)
            changed = [trace for trace in page if trace.id in fresh]
            if changed:
                self._copy(changed, number, seen)
            yield len(page)

    def compare(self) -> list[Line]:
        tallies = {shape: Tally(shape) for shape in _SHAPES}
        for shape, tally in tallies.items():
            for part in self._checkpoint.sums(shape):
                here: dict[str, TraceSums | None] = {}
                for start in range(0, len(part), _PAGE):
                    ids = [id for id, _ in part[start : start + _PAGE]]
                    here.update(zip(ids, self._here(ids), strict=True))
                tally.compare(dict(part), {id: getattr(sums, shape) for id, sums in here.items() if sums is not None})
        return [tally.line(self._sink.added[shape]) for shape, tally in tallies.items() if tally.line().there.count]

    def _copy(self, found: Sequence[FoundTrace], number: int, seen: dict[str, str]) -> None:
        traces: list[ImportedTrace] = []
        sums: dict[str, TraceSums] = {}
        for trace in found:
            try:
                spans = self._spans(trace)
                made = clean(_imported(trace, number, spans))
                sums[trace.id] = sums_of(made)
                traces.append(made)
                self.left_out["links between spans"] += sum(len(span.links) for span in spans)
            except (TwinloopError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                self._sink.refused.append(("traces", trace.id, f"its spans cannot be read ({error})"))
        if self._writing:
            for start in range(0, len(traces), _PAGE):
                body = {"origin": self._source.origin, "traces": traces[start : start + _PAGE]}
                self._sink.take(msgspec.convert(self._sink.client.call("POST", f"{_AT}/traces", body), Outcome))
        if self._files is not None:
            self._files.copy(
                [Files("trace", t.id, t.location, f"{number}/traces/{t.id}/artifacts") for t in found if t.location]
            )
        self._checkpoint.finish("traces", {id: seen[id] for id in sums}, _listed(sums))

    def _spans(self, trace: FoundTrace) -> Sequence[FoundSpan]:
        """The spans of a trace; those of an earlier MLflow lie in a file."""
        if trace.spans is not None:
            return trace.spans
        if not trace.location:
            return ()
        for file in self._source.files("trace", trace.id, trace.location):
            if file.path == _SPANS_FILE and file.refused is None:
                return self._read_spans(trace, file)
        return ()

    def _read_spans(self, trace: FoundTrace, file: FoundFile) -> Sequence[FoundSpan]:
        if file.size > _SPANS_LIMIT:
            raise ValueError(f"{_SPANS_FILE} has {file.size} bytes and {_SPANS_LIMIT} are the most")
        data = b"".join(self._source.read("trace", trace.id, trace.location, file))
        return [from_content(span) for span in msgspec.json.decode(data)["spans"]]

    def _fresh(self, seen: dict[str, str]) -> set[str]:
        if self._recheck or not seen:
            return set(seen)
        copied = self._checkpoint.seen("traces", seen)
        same = [id for id, text in copied.items() if text and text == seen[id]]
        here = {id for start in range(0, len(same), _PAGE) for id in self._there(same[start : start + _PAGE])}
        return set(seen) - here

    def _there(self, ids: Sequence[str]) -> list[str]:
        keys = {key_of(id): id for id in ids}
        found = self._sink.sums("traces", [(key,) for key in keys])
        return [keys[str(scope[0])] for scope, each in found.items() if each.count]

    def _here(self, ids: Sequence[str]) -> list[TraceSums | None]:
        answer = self._sink.client.call("POST", f"{_AT}/trace-sums", {"ids": ids})
        return msgspec.convert(answer["sums"], list[TraceSums | None])


def _listed(sums: dict[str, TraceSums]) -> Iterator[tuple[str, str, Sum]]:
    for id, each in sums.items():
        yield "traces", id, each.traces
        if each.spans.count:
            yield "spans", id, each.spans
        if each.assessments.count:
            yield "assessments", id, each.assessments


def _imported(trace: FoundTrace, number: int, spans: Sequence[FoundSpan]) -> ImportedTrace:
    return ImportedTrace(
        id=trace.id,
        experiment=number,
        request_ms=trace.started_ms,
        duration_ms=trace.duration_ms,
        state=trace.state if trace.state in STATUSES else "STATE_UNSPECIFIED",  # type: ignore[arg-type]
        client_request_id=trace.client_request_id,
        request_preview=trace.request_preview,
        response_preview=trace.response_preview,
        tags=trace.tags,
        metadata=trace.metadata,
        assessments=tuple(_assessment(said, trace.id) for said in trace.assessments),
        spans=tuple(_span(span, trace.id) for span in spans),
        runs=trace.runs,
    )


def _assessment(said: FoundAssessment, trace_id: str) -> Assessment:
    return Assessment(
        id=said.id,
        trace_id=key_of(trace_id),
        kind=said.kind,  # type: ignore[arg-type]
        name=said.name,
        value=said.value,
        source_type=said.source_type,
        source_id=said.source_id,
        created_ms=said.created_ms,
        updated_ms=said.updated_ms,
        error=said.error,
        run=said.run_id,
        span_id=said.span_id,
        rationale=said.rationale,
        overrides=said.overrides,
        valid=said.valid,
        metadata=said.metadata,
    )


def _span(span: FoundSpan, trace_id: str) -> Span:
    events = tuple(SpanEvent(name, at_ns, attributes) for name, at_ns, attributes in span.events)
    return Span(
        trace_id=key_of(trace_id),
        span_id=span.id,
        name=span.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns or 0,
        parent_id=span.parent_id,
        kind=span.kind,
        status=span.status,  # type: ignore[arg-type]
        message=span.message,
        attributes=span.attributes,
        events=events,
    )
