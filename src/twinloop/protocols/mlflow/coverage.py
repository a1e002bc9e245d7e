"""What MLflow's server answers and Twinloop does not, and why; the rest of it is offered.

The error on such a path and the page ``docs/reference/mlflow.md`` both say what stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from twinloop.protocols.mlflow.endpoint import Endpoint


class Gap(NamedTuple):
    """Endpoints that are not offered for one reason. Each is written ``METHOD path``, as MLflow documents it."""

    about: str
    why: str
    endpoints: tuple[str, ...]

    def each(self) -> Iterator[tuple[str, str]]:
        """Method and path of each endpoint."""
        for endpoint in self.endpoints:
            method, _, path = endpoint.partition(" ")
            yield method, path


_V2, _V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
_UI3 = "/ajax-api/3.0/mlflow"


def _all(prefix: str, *endpoints: str) -> tuple[str, ...]:
    """``METHOD rest`` with ``prefix`` put before the rest."""
    return tuple(f"{method} {prefix}{path}" for method, _, path in (one.partition(" ") for one in endpoints))


GAPS: tuple[Gap, ...] = (
    Gap(
        "Workspaces",
        "A tenant is what MLflow calls a workspace, and it comes with the key: make one key for each tenant.",
        _all(
            f"{_V3}/workspaces",
            "GET ",
            "POST ",
            "GET /{workspace_name}",
            "PATCH /{workspace_name}",
            "DELETE /{workspace_name}",
        ),
    ),
    Gap(
        "AI gateway: its secrets, endpoints, models, bindings, budgets and guardrails",
        "Twinloop has a gateway of its own: declare an endpoint in a project and release it. Secrets of providers are set "
        "where the server runs and never travel over its interface.",
        _all(
            f"{_V3}/gateway",
            *(f"POST /secrets/{verb}" for verb in ("create", "update")),
            *(f"GET /secrets/{verb}" for verb in ("get", "list")),
            "DELETE /secrets/delete",
            *(f"POST /endpoints/{verb}" for verb in ("create", "update", "set-tag", "models/attach", "models/detach")),
            *(f"GET /endpoints/{verb}" for verb in ("get", "list")),
            *(f"DELETE /endpoints/{verb}" for verb in ("delete", "delete-tag")),
            "POST /endpoints/bindings/create",
            "GET /endpoints/bindings/list",
            "DELETE /endpoints/bindings/delete",
            *(f"POST /model-definitions/{verb}" for verb in ("create", "update")),
            *(f"GET /model-definitions/{verb}" for verb in ("get", "list")),
            "DELETE /model-definitions/delete",
            *(f"POST /budgets/{verb}" for verb in ("create", "update")),
            *(f"GET /budgets/{verb}" for verb in ("get", "list", "windows")),
            "DELETE /budgets/delete",
            *(f"POST /guardrails/{verb}" for verb in ("create", "add-to-endpoint")),
            *(f"GET /guardrails/{verb}" for verb in ("get", "list", "list-for-endpoint")),
            *(f"DELETE /guardrails/{verb}" for verb in ("delete", "remove-from-endpoint")),
            "PATCH /guardrails/update-config",
        ),
    ),
    Gap(
        "AI gateway: calling models",
        "Ask a released endpoint at /v1/chat/completions or /v1/embeddings with OpenAI's client instead.",
        (
            "POST /gateway/{endpoint_name}/mlflow/invocations",
            "POST /gateway/mlflow/v1/chat/completions",
            "GET /gateway/mlflow/v1/models",
            "POST /gateway/openai/v1/chat/completions",
            "POST /gateway/openai/v1/embeddings",
            "POST /gateway/openai/v1/responses",
            "POST /gateway/openai/v1/responses/compact",
            "POST /gateway/anthropic/v1/messages",
            "POST /gateway/gemini/v1beta/models/{endpoint_name}:generateContent",
            "POST /gateway/gemini/v1beta/models/{endpoint_name}:streamGenerateContent",
            "POST /gateway/typesafe/v1/systemone",
            "POST /gateway/proxy/{endpoint_name}/{rest:path}",
            *_all("/ajax-api/2.0/mlflow", "GET /gateway-proxy", "POST /gateway-proxy"),
        ),
    ),
    Gap(
        "Prompt optimization as a job of the server",
        "The server runs no jobs of MLflow's. Call mlflow.genai.optimize_prompts() in your own program: it needs nothing of "
        "the server but the prompts.",
        _all(
            f"{_V3}/prompt-optimization/jobs",
            "POST ",
            "POST /search",
            "GET /search",
            "GET /{job_id}",
            "DELETE /{job_id}",
            "POST /{job_id}/cancel",
        ),
    ),
    Gap(
        "Jobs of the server",
        "The server runs no jobs of MLflow's. Evaluate in your own program with mlflow.genai.evaluate(), or declare a pipeline.",
        (
            *_all("/ajax-api/3.0/jobs", "POST /", "POST /search", "GET /{job_id}", "PATCH /cancel/{job_id}"),
            *_all(
                _UI3,
                "GET /jobs/{job_id}",
                "PATCH /jobs/cancel/{job_id}",
                "POST /scorer/invoke",
                "POST /genai/evaluate/invoke",
                "POST /issues/invoke",
            ),
        ),
    ),
    Gap(
        "Review queues",
        "Not built yet. Mark traces that somebody should look at with a tag, and search for it.",
        _all(
            f"{_V3}/review-queues",
            *(f"POST /{verb}" for verb in ("create", "update", "delete", "get-or-create-user")),
            *(f"GET /{verb}" for verb in ("get", "get-by-name", "list")),
            *(f"POST /items/{verb}" for verb in ("add", "remove", "set-status")),
            "GET /items/list",
        ),
    ),
    Gap(
        "MCP servers",
        "A catalogue of tool servers is not part of Twinloop yet.",
        _all(
            f"{_V3}/mcp-servers",
            *("GET ", "POST ", "GET /{rest:path}", "POST /{rest:path}", "PATCH /{rest:path}", "DELETE /{rest:path}"),
        ),
    ),
    Gap(
        "Databricks alone",
        "MLflow's own open-source server does not answer these either.",
        (
            f"GET {_V2}/unified-traces",
            f"GET {_V2}/get-online-trace-details",
            "POST /api/2.0mlflow/experiments/search-datasets",
        ),
    ),
    Gap(
        "MLflow's browser interface",
        "Twinloop has a console of its own at /, and no program calls these.",
        (
            *_all(
                _UI3,
                "GET /ui-telemetry",
                "POST /ui-telemetry",
                "POST /demo/generate",
                "POST /demo/delete",
                "GET /gateway/provider-config",
                "GET /gateway/secrets/config",
                "GET /gateway/supported-models",
                "GET /gateway/supported-providers",
                *(f"{method} /assistant/{{rest:path}}" for method in ("GET", "POST", "PUT", "PATCH")),
            ),
        ),
    ),
)

NOTES: Mapping[str, str] = {
    f"PUT {_V3}/scorers/online-config": "Kept, so that clients can read it again; nothing judges by itself yet.",
    f"POST {_V3}/scorers/register": "A scorer that carries source code is refused, as MLflow's own server refuses it.",
    "POST /graphql": "Steps and number of a metric's points are heeded, which MLflow reads from the address instead.",
    f"POST {_V2}/webhooks": "An admin's, as are all of these. The event budget_policy.exceeded can be asked for and never comes.",
}
"""What an endpoint that is offered does differently from MLflow's own server."""


def missing(offered: Iterable[Endpoint]) -> list[tuple[str, str, Gap]]:
    """Method, path and reason of every endpoint that is not offered; one that is in the meantime is left out."""
    there = {(endpoint.method, path) for endpoint in offered for path in endpoint.paths}
    return [(method, path, gap) for gap in GAPS for method, path in gap.each() if (method, path) not in there]
