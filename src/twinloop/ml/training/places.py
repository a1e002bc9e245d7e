"""Where the files of a registered model lie: in the artifact tree, or somewhere else."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from twinloop.control.security.model import Principal

TREE = "mlflow-artifacts"
_STEPS = 3


class Uris(Protocol):
    """Where tracking says that the artifacts of a run or of a logged model lie."""

    async def of_run(self, who: Principal, run_id: str) -> str | None: ...

    async def of_model(self, who: Principal, model_id: str) -> str | None: ...


class Place(NamedTuple):
    """``folder`` is relative to the artifact tree's root; None when the files are elsewhere or nothing is known of them."""

    folder: str | None
    reason: str = ""


async def find_place(who: Principal, source: str, uris: Uris) -> Place:
    """Follow ``models:/m-…`` and ``runs:/…`` to the place they name."""
    for _ in range(_STEPS):
        parts = urlsplit(source)
        path = unquote(parts.path).strip("/")
        if parts.scheme == TREE:
            return Place(path)
        following: str | None = None
        if parts.scheme == "models" and path.startswith("m-"):
            model_id, _, rest = path.partition("/")
            following = _below(await uris.of_model(who, model_id), rest)
        elif parts.scheme == "runs":
            run_id, _, rest = path.partition("/")
            following = _below(await uris.of_run(who, run_id), rest)
        if following is None:
            return _elsewhere(source, parts.scheme)
        source = following
    return _elsewhere(source, "")


def _below(uri: str | None, path: str) -> str | None:
    return uri if uri is None or not path else f"{uri.rstrip('/')}/{path}"


def _elsewhere(source: str, scheme: str) -> Place:
    if scheme in ("models", "runs"):
        return Place(None, f"Nothing is known of {source[:200]}, so the model's files are not known either.")
    return Place(
        None,
        f"The model's files lie at {source[:200]}, which Twinloop does not read. It is registered by reference; to serve it, "
        "log the model to an experiment whose artifacts Twinloop keeps (mlflow-artifacts:) and register it again.",
    )
