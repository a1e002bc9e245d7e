"""Calls of MLflow's registry, made one after another; ``RUNID`` and ``RUNROOT`` stand for a run and for its artifacts."""

from __future__ import annotations

from typing import Any, NamedTuple

_MODELS, _VERSIONS = "registered-models", "model-versions"
PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]


class Made(NamedTuple):
    method: str
    path: str
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None


def _models(verb: str, method: str = "POST", **body: Any) -> Made:
    return Made(method, f"{_MODELS}/{verb}", body)


def _versions(verb: str, method: str = "POST", **body: Any) -> Made:
    return Made(method, f"{_VERSIONS}/{verb}", body)


def _read(path: str, **query: Any) -> Made:
    return Made("GET", path, query=query)


def _register(source: str, name: str = "m", **more: Any) -> Made:
    return _versions("create", name=name, source=source, **more)


CALLS: tuple[Made, ...] = (
    _models("create", name="m", tags=[{"key": "k", "value": "v"}, {"key": "k", "value": "w"}], description="d"),
    _models("create", name="m"),
    _models("create", name=""),
    _models("create", name="a/b"),
    _models("create", name=".."),
    _models("create", name="Ünï ☃"),
    _models("create", name="t", tags=[{"key": "bad key!", "value": "x"}]),
    _models("update", "PATCH", name="m", description="new"),
    _models("update", "PATCH", name="none", description="x"),
    _models("rename", name="m", new_name="Ünï ☃"),
    _models("rename", name="m", new_name="m2"),
    _models("rename", name="m", new_name="m3"),
    _models("rename", name="m2", new_name="m"),
    _models("set-tag", name="m", key="t", value="1"),
    _models("set-tag", name="m", key="t", value="x" * 100_001),
    _models("set-tag", name="none", key="t", value="1"),
    _models("delete-tag", "DELETE", name="m", key="none"),
    _register("runs:/RUNID/model", run_id="RUNID", tags=[{"key": "a", "value": "b"}], run_link="http://x/y"),
    _register("RUNROOT/model", run_id="RUNID", description="second"),
    _register("RUNROOT/model", run_id="RUNID"),
    _register("s3://bucket/model"),
    _register("s3://bucket/model", name="none"),
    _register("RUNROOT/../model", run_id="RUNID"),
    _register("runs:/other/model", run_id="RUNID"),
    _register("mlflow-artifacts:/elsewhere", run_id="RUNID"),
    _register("/etc", run_id="RUNID"),
    _register("http://host/x", run_id="RUNID"),
    _register("s3://b/x%2f..%2f..%2fy", run_id="RUNID"),
    _register("models:/m/1"),
    _register("models:/m/99"),
    _register("models:/m/1", run_id="other"),
    _read(f"{_VERSIONS}/get", name="m", version="1"),
    _read(f"{_VERSIONS}/get", name="m", version="5"),
    _read(f"{_VERSIONS}/get", name="m", version="99"),
    _read(f"{_VERSIONS}/get", name="m", version="x"),
    _read(f"{_VERSIONS}/get", name="m", version="words that are longer than a number"),
    _read(f"{_VERSIONS}/get-download-uri", name="m", version="5"),
    _versions("update", "PATCH", name="m", version="1", description="x"),
    _versions("set-tag", name="m", version="1", key="t", value=""),
    _versions("set-tag", name="m", version="99", key="t", value=""),
    _versions("delete-tag", "DELETE", name="m", version="1", key="t"),
    _versions("transition-stage", name="m", version="1", stage="Staging"),
    _versions("transition-stage", name="m", version="2", stage="staging", archive_existing_versions=True),
    _versions("transition-stage", name="m", version="2", stage="bogus"),
    _models("get-latest-versions", name="m"),
    _read(f"{_MODELS}/get-latest-versions", name="m", stages=["None", "Staging"]),
    _models("alias", name="m", alias="best", version="1"),
    _models("alias", name="m", alias="best", version="2"),
    _models("alias", name="m", alias="v1", version="2"),
    _models("alias", name="m", alias="Latest", version="2"),
    _models("alias", name="m", alias="bad alias", version="2"),
    _models("alias", name="m", alias="x", version="99"),
    _read(f"{_MODELS}/alias", name="m", alias="best"),
    _read(f"{_MODELS}/alias", name="m", alias="none"),
    _read(f"{_MODELS}/alias", name="m", alias="latest"),
    _versions("delete", "DELETE", name="m", version="2"),
    _versions("delete", "DELETE", name="m", version="2"),
    _read(f"{_MODELS}/alias", name="m", alias="best"),
    _register("s3://bucket/after"),
    _models("create", name="p", tags=PROMPT),
    _models("create", name="p"),
    _models("create", name="m", tags=PROMPT),
    _register("dummy-source", name="p", tags=[*PROMPT, {"key": "mlflow.prompt.text", "value": "Hi {{x}}"}]),
    _register("s3://b/x", name="p", tags=PROMPT),
    _register("models:/p/1"),
    _read(f"{_MODELS}/search"),
    _read(f"{_MODELS}/search", filter="name ILIKE 'M%' AND tags.k = 'w'"),
    _read(f"{_MODELS}/search", filter="tags.`mlflow.prompt.is_prompt` = 'true'"),
    _read(f"{_MODELS}/search", filter="name!=something"),
    _read(f"{_MODELS}/search", filter="evilhax = true"),
    _read(f"{_MODELS}/search", filter="name LIKE AND tag.k != 'w'"),
    _read(f"{_MODELS}/search", filter="name = and tag.k != 'w'"),
    _read(f"{_MODELS}/search", order_by=["name DESC"]),
    _read(f"{_MODELS}/search", order_by=["creation_timestamp"]),
    _read(f"{_MODELS}/search", page_token="evilhax"),
    _read(f"{_VERSIONS}/search", filter="name = 'm' AND version_number > 1", order_by=["version_number"]),
    _read(f"{_VERSIONS}/search", filter="name = 'm' AND version_number > '1'", order_by=["version_number"]),
    _read(f"{_VERSIONS}/search", filter="version_number = 'one'"),
    _read(f"{_VERSIONS}/search", max_results=10**15),
    _read(f"{_MODELS}/search", max_results=10**15),
    _read(f"{_VERSIONS}/search", filter="run_id IN ('RUNID')", order_by=["version_number ASC"]),
    _read(f"{_VERSIONS}/search", filter="source_path LIKE 's3:%'", order_by=["name", "version_number"]),
    _read(f"{_VERSIONS}/search", filter="run_id IN ()"),
    _read(f"{_VERSIONS}/search", filter="run_id IN (1,2)"),
    _models("delete", "DELETE", name="m"),
    _read(f"{_MODELS}/get", name="m"),
    _read(f"{_VERSIONS}/get", name="m", version="1"),
    _models("create", name="m"),
    _register("s3://bucket/again"),
    _read(f"{_MODELS}/get", name="m"),
)
