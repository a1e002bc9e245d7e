"""What an exported folder looks like.

export.json                       the index: version, counts, and every file with size and digest
tracking/runs.parquet …           one Parquet file for each shape of tracking
registry/<kind>/<name>@card.json  what may change about a name, its aliases and its history
registry/<kind>/<name>@<n>.json   a revision with its note, tags and approvals
artifacts/<path>                  files of runs, logged models and traces, as they were logged
files/<kind>/<name>@<n>/<path>    files that revisions are made of, as they are
traces/<shape>.jsonl              traces, spans, assessments …
records/<shape>.jsonl             lineage, evidence, evaluation datasets, pipelines, traffic …
records/blobs.jsonl               which file holds the bytes of which digest
"""

from __future__ import annotations

from typing import Any

import msgspec

INDEX = "export.json"
MARK = ".twinloop-export"
FORMAT = "twinloop-export"
VERSION = 1

ARTIFACTS = "artifacts"
FILES = "files"
BLOBS = "records/blobs.jsonl"

TRACKING = (
    *("experiments", "experiment_tags", "runs", "params", "tags", "inputs", "metrics", "run_models"),
    *("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics"),
)
CARD = ("cards", "card_tags", "aliases", "registry_events")
REVISION = ("revisions", "notes", "revision_tags", "approvals")
TRACES = ("traces", "trace_tags", "trace_metadata", "trace_runs", "trace_prompts", "spans", "assessments")
RECORDS = (
    *("lineage_nodes", "lineage_edges", "artifacts", "evidence", "evaluation_datasets", "evaluation_dataset_tags"),
    *("evaluation_dataset_experiments", "evaluation_dataset_records", "scorers", "scorer_versions", "scorer_schedules"),
    *("issues", "label_schemas", "pipeline_runs", "step_runs", "traffic", "release_events"),
)


def path_of(shape: str) -> str | None:
    """The file that holds the rows of a shape; None for those that are spread over documents of the registry."""
    if shape in TRACKING:
        return f"tracking/{shape}.parquet"
    if shape in TRACES:
        return f"traces/{shape}.jsonl"
    return f"records/{shape}.jsonl" if shape in RECORDS else None


class FileEntry(msgspec.Struct, frozen=True):
    """A file of the folder. ``digest`` is sha256: and 64 hex digits."""

    path: str
    size: int
    digest: str


class Index(msgspec.Struct, frozen=True):
    """``what`` was exported, when and by which version; ``counts`` are rows by shape."""

    format: str
    version: int
    what: str
    made_at: str
    made_by: str
    counts: dict[str, int]
    files: list[FileEntry]
    left_out: dict[str, str] = {}


class Blob(msgspec.Struct, frozen=True):
    """The file, relative to the folder, that holds the bytes of a digest."""

    digest: str
    size: int
    path: str


def lines(values: list[Any]) -> bytes:
    """JSON lines, the same for equal values."""
    return b"".join(msgspec.json.encode(value, order="deterministic") + b"\n" for value in values)
