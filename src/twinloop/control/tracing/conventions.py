"""What attributes of spans mean: MLflow's own names, and those of other conventions read into them.

The names and their order of precedence are MLflow's (``mlflow.tracing.otel.translation``); those of the other conventions
are published by OpenTelemetry (GenAI), OpenInference, Traceloop, Langfuse, Laminar, LiveKit, Google's ADK and Vercel's AI
SDK. The last is our own gateway's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

REQUEST_ID = "mlflow.traceRequestId"
TYPE = "mlflow.spanType"
INPUTS = "mlflow.spanInputs"
OUTPUTS = "mlflow.spanOutputs"
USAGE = "mlflow.chat.tokenUsage"
COST = "mlflow.llm.cost"
MODEL = "mlflow.llm.model"
PROVIDER = "mlflow.llm.provider"
TOOLS = "mlflow.chat.tools"
LABEL = "mlflow.traceTag."
"""Attributes of a root span that begin so are tags of the trace."""

SESSION = ("session.id", "gen_ai.conversation.id")
USER = "user.id"
UNKNOWN_TYPE = "UNKNOWN"

_decode = msgspec.json.Decoder().decode


class Convention(NamedTuple):
    """Where one convention keeps what MLflow's view of a span shows. ``kinds`` gives MLflow's type of a span.

    Spans of the kinds in ``gathered`` have their inputs and outputs in several attributes each: those that begin so.
    """

    kind: str = ""
    kinds: Mapping[str, str] = {}
    tokens_in: str = ""
    tokens_out: str = ""
    tokens: str = ""
    cache_read: str = ""
    cache_written: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    provider: str = ""
    tools: str = ""
    gathered: Mapping[str, tuple[str, str]] = {}


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_GEN_AI_MODELS = ("gen_ai.response.model", "gen_ai.request.model")
_GEN_AI_KINDS = {
    "chat": "CHAT_MODEL",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "response": "LLM",
    "create_agent": "AGENT",
    "invoke_agent": "AGENT",
    "generate_content": "LLM",
    "text_completion": "LLM",
}
_VERCEL_TEXT = ("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject")
_VERCEL_CALLS = ("ai.generateText.doGenerate", "ai.streamText.doStream")

CONVENTIONS = (
    Convention(
        kind="openinference.span.kind",
        kinds=_same(
            *(
                "TOOL",
                "CHAIN",
                "LLM",
                "RETRIEVER",
                "EMBEDDING",
                "AGENT",
                "RERANKER",
                "UNKNOWN",
                "GUARDRAIL",
                "EVALUATOR",
            )
        ),
        tokens_in="llm.token_count.prompt",
        tokens_out="llm.token_count.completion",
        tokens="llm.token_count.total",
        cache_read="llm.token_count.prompt_details.cache_read",
        cache_written=("llm.token_count.prompt_details.cache_write",),
        inputs=("input.value",),
        outputs=("output.value",),
        models=("llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name"),
        provider="llm.provider",
    ),
    Convention(
        kind="gen_ai.operation.name",
        kinds=_GEN_AI_KINDS,
        tokens_in="gen_ai.usage.input_tokens",
        tokens_out="gen_ai.usage.output_tokens",
        cache_read="gen_ai.usage.cache_read.input_tokens",
        cache_written=("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        inputs=("gen_ai.input.messages", "gen_ai.tool.call.arguments"),
        outputs=("gen_ai.output.messages", "gen_ai.tool.call.result"),
        models=_GEN_AI_MODELS,
        provider="gen_ai.provider.name",
        tools="gen_ai.tool.definitions",
    ),
    Convention(
        kind="traceloop.span.kind",
        kinds={"workflow": "WORKFLOW", "task": "TASK", "agent": "AGENT", "tool": "TOOL", "unknown": "UNKNOWN"},
        tokens_in="gen_ai.usage.prompt_tokens",
        tokens_out="gen_ai.usage.completion_tokens",
        tokens="llm.usage.total_tokens",
        inputs=("traceloop.entity.input", "gen_ai.prompt.0.content", "gen_ai.completion.0.tool_calls.0.arguments"),
        outputs=("traceloop.entity.output", "gen_ai.completion.0.content"),
        provider="gen_ai.system",
    ),
    Convention(
        inputs=("gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args"),
        outputs=("gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response"),
    ),
    Convention(
        kind="ai.operationId",
        kinds={
            **dict.fromkeys(_VERCEL_TEXT, "LLM"),
            **dict.fromkeys(_VERCEL_CALLS, "LLM"),
            "ai.generateObject.doGenerate": "LLM",
            "ai.streamObject.doStream": "LLM",
            "ai.toolCall": "TOOL",
            **dict.fromkeys(("ai.embed", "ai.embed.doEmbed", "ai.embedMany"), "EMBEDDING"),
        },
        inputs=("ai.prompt", "ai.toolCall.args", "ai.value", "ai.values"),
        outputs=("ai.response.text", "ai.toolCall.result", "ai.response.object", "ai.embedding", "ai.embeddings"),
        gathered=dict.fromkeys(_VERCEL_CALLS, ("ai.prompt.", "ai.response.")),
    ),
    Convention(
        inputs=("lk.user_input", "lk.user_transcript", "lk.chat_ctx", "lk.input_text"),
        outputs=("lk.response.text", "lk.response.function_calls"),
    ),
    Convention(
        kind="lmnr.span.type",
        kinds={
            "LLM": "LLM",
            "TOOL": "TOOL",
            "DEFAULT": "CHAIN",
            "PIPELINE": "CHAIN",
            "EXECUTOR": "AGENT",
            **dict.fromkeys(("EVALUATOR", "HUMAN_EVALUATOR", "EVALUATION"), "EVALUATOR"),
            "CACHED": "LLM",
        },
        inputs=("lmnr.span.input",),
        outputs=("lmnr.span.output",),
        models=_GEN_AI_MODELS,
        provider="gen_ai.system",
    ),
    Convention(
        kind="langfuse.observation.type",
        kinds={
            "generation": "LLM",
            "embedding": "EMBEDDING",
            "tool": "TOOL",
            "retriever": "RETRIEVER",
            "agent": "AGENT",
            "chain": "CHAIN",
            "evaluator": "EVALUATOR",
            "guardrail": "GUARDRAIL",
            "span": "UNKNOWN",
        },
        inputs=("langfuse.observation.input",),
        outputs=("langfuse.observation.output",),
    ),
    Convention(inputs=("twinloop.question", "twinloop.inputs"), outputs=("twinloop.answer",)),
)

_MERGED = (
    (INPUTS, [key for convention in CONVENTIONS for key in convention.inputs]),
    (OUTPUTS, [key for convention in CONVENTIONS for key in convention.outputs]),
    (MODEL, [key for convention in CONVENTIONS for key in convention.models]),
    (PROVIDER, [convention.provider for convention in CONVENTIONS if convention.provider]),
    (TOOLS, [convention.tools for convention in CONVENTIONS if convention.tools]),
)
_SINGLE = ("kind", "tokens_in", "tokens_out", "tokens", "cache_read", "provider", "tools")
_SEVERAL = ("cache_written", "inputs", "outputs", "models")
_FOREIGN = frozenset(
    name
    for convention in CONVENTIONS
    for name in (
        *(getattr(convention, field) for field in _SINGLE),
        *(name for field in _SEVERAL for name in getattr(convention, field)),
    )
    if name
)


def plain(value: Any) -> Any:
    """An attribute as MLflow reads it: text that is JSON of a text, a list or a map stands for that value."""
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            found = _decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
        return found if isinstance(found, str | list | dict) else value
    return value


def translated(attributes: dict[str, Any]) -> dict[str, Any]:
    """What other conventions say, under MLflow's names, without what is there already; empty for most spans."""
    added: dict[str, Any] = {}
    if not _FOREIGN.isdisjoint(attributes):
        if plain(attributes.get(TYPE)) in (None, UNKNOWN_TYPE):
            _put(added, {}, TYPE, next(filter(None, (_kind(c, attributes) for c in CONVENTIONS)), None))
        for name, value in _gathered(attributes):
            _put(added, attributes, name, value)
        for name, keys in _MERGED:
            _put(added, attributes, name, next((attributes[key] for key in keys if plain(attributes.get(key))), None))
        _put(added, attributes, USAGE, next(filter(None, (_usage(c, attributes) for c in CONVENTIONS)), None))
    if MODEL not in attributes and MODEL not in added:
        _put(added, attributes, MODEL, _named_model(attributes, added))
    return added


def _put(added: dict[str, Any], present: Mapping[str, Any], name: str, value: Any) -> None:
    if value and name not in present and name not in added:
        added[name] = value


def _gathered(attributes: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for convention in CONVENTIONS:
        kind = plain(attributes.get(convention.kind)) if convention.gathered else None
        prefixes = convention.gathered.get(kind, ()) if isinstance(kind, str) else ()
        for name, prefix in zip((INPUTS, OUTPUTS), prefixes, strict=False):
            yield (
                name,
                {key.removeprefix(prefix): _all_plain(attributes[key]) for key in attributes if key.startswith(prefix)},
            )


def _all_plain(value: Any) -> Any:
    """An attribute, and where it is a list each of its items, as MLflow reads them."""
    read = plain(value)
    return [plain(item) for item in read] if isinstance(read, list) else read


def _kind(convention: Convention, attributes: Mapping[str, Any]) -> str | None:
    said = plain(attributes.get(convention.kind)) if convention.kind else None
    return convention.kinds.get(said) if isinstance(said, str) else None


def _usage(convention: Convention, attributes: Mapping[str, Any]) -> dict[str, int]:
    read, written = _integer(attributes, convention.tokens_in), _integer(attributes, convention.tokens_out)
    total = _integer(attributes, convention.tokens)
    if total is None and read is not None and written is not None:
        total = read + written
    found = {"input_tokens": read, "output_tokens": written, "total_tokens": total}
    if all(value is None for value in found.values()):
        return {}
    found["cache_read_input_tokens"] = _integer(attributes, convention.cache_read)
    cached = (_integer(attributes, name) for name in convention.cache_written)
    found["cache_creation_input_tokens"] = next((value for value in cached if value is not None), None)
    return {key: value for key, value in found.items() if value is not None}


def _integer(attributes: Mapping[str, Any], name: str) -> int | None:
    value = plain(attributes.get(name)) if name else None
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return value if isinstance(value, int) else None


def _named_model(attributes: Mapping[str, Any], added: Mapping[str, Any]) -> str | None:
    """The model that inputs or outputs name, as requests and answers of chat interfaces do."""
    for name in (INPUTS, OUTPUTS):
        value = attributes.get(name) or added.get(name)
        if isinstance(value, str):
            if '"model"' not in value:
                continue
            value = plain(value)
        if isinstance(value, dict) and isinstance(value.get("model"), str):
            return value["model"] or None
    return None
