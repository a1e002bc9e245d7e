from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from tests import peer
from tests.mlflow_endpoints import known, shape
from twinloop.compose import open_app
from twinloop.core.settings import load
from twinloop.protocols.mlflow.coverage import GAPS, NOTES
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.server.routes import all_routes

LIST_ALL = """
import json, re
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app as fastapi_app

found = set()
def walk(routes, prefix=""):
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            walk(inner.routes, prefix + (route.include_context.prefix or ""))
        elif getattr(route, "methods", None):
            found.update((method, prefix + route.path) for method in route.methods)
walk(fastapi_app.routes)
for rule in flask_app.url_map.iter_rules():
    found.update((method, re.sub(r"<(?:path:)?(\\w+)>", r"{\\1}", str(rule))) for method in rule.methods)
print(json.dumps(sorted(found)))
"""
PAGES = ("GET /", "GET /static-files/{}", "GET /build/{}", "GET /docs", "GET /redoc", "GET /openapi.json")


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Method and path of everything a server answers with something else than a refusal."""
    import asyncio

    async def routes() -> list[Route]:
        app = await open_app(load({"home": str(tmp_path_factory.mktemp("home"))}, {}))
        try:
            return [route for route in all_routes(app) if isinstance(route, Route)]
        finally:
            await app.aclose()

    return set(_offered(asyncio.run(routes())))


def _offered(routes: list[Route]) -> Iterator[str]:
    for route in routes:
        operation = getattr(route, "operation", None)
        if getattr(getattr(operation, "handler", None), "__name__", "") != "_not_offered":
            yield from (shape(method, route.path) for method in route.methods or ())


async def _nothing(call: object) -> None:
    return None


WRITTEN = [Endpoint(method, path, _nothing) for gap in GAPS for method, path in gap.each()]
REFUSED = {shape(one.method, path) for one in WRITTEN for path in one.paths}
BELOW = tuple(f"{one.method} {path.partition('{rest')[0]}" for one in WRITTEN for path in one.paths if "{rest" in path)
"""The beginnings of everything that is refused as a whole."""


def test_every_endpoint_of_mlflows_services_is_offered_or_has_a_reason(offered: set[str]) -> None:
    found = {endpoint.shape for endpoint in known()}
    assert len(found) > 150
    assert sorted(found - offered - REFUSED) == []


def test_nothing_is_refused_that_is_offered(offered: set[str]) -> None:
    assert sorted(offered & REFUSED) == []


def test_every_endpoint_is_refused_for_one_reason() -> None:
    written = [shape(one.method, one.path) for one in WRITTEN]
    assert len(written) == len(set(written))


def test_a_note_is_about_something_that_is_offered(offered: set[str]) -> None:
    assert {shape(*note.split(" ", 1)) for note in NOTES} <= offered


@pytest.mark.slow
@pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT)
def test_every_path_of_mlflows_server_is_offered_or_has_a_reason(offered: set[str], tmp_path: Path) -> None:
    environ = peer.environment(MLFLOW_BACKEND_STORE_URI=f"sqlite:///{tmp_path / 'mlflow.db'}")
    command = [str(peer.PYTHON), "-W", "ignore", "-c", LIST_ALL]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = {
        shape(method, path)
        for method, path in json.loads(done.stdout.splitlines()[-1])
        if method not in ("OPTIONS", "HEAD")
    }
    assert len(theirs) > 300
    unanswered = theirs - offered - REFUSED - set(PAGES)
    assert sorted(item for item in unanswered if not item.startswith(BELOW)) == []
