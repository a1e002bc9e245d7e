"""What is not imported before it is needed: imports are most of the time and memory of a start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "alembic",
    "duckdb",
    "graphql",
    "numpy",
    "onnx",
    "onnxruntime",
    "opentelemetry",
    "pyarrow",
    "pypdfium2",
    "qdrant_edge",
    "scipy",
    "tokenizers",
    "xgboost",
    "xllamacpp",
}
SERVING = {"sqlalchemy", "starlette", "uvicorn", "aiohttp", "prometheus_client"}

IMPORTED = "import sys; {}; print(*sys.modules)"
COMPOSED = """
import asyncio, sys
from pathlib import Path
import twinloop.server.main
from twinloop.compose import open_app
from twinloop.core.settings import Settings
from twinloop.server.app import application

async def compose():
    app = await open_app(Settings(home=Path(sys.argv[1])))
    application(app)
    await app.restore()
    await app.aclose()

asyncio.run(compose())
print(*sys.modules)
"""


def modules(program: str, *arguments: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after ``program``."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "program", ["import twinloop", "import twinloop.cli.main", "from twinloop import step, pipeline"]
)
def test_importing_twinloop_imports_no_engine_and_no_server(program: str) -> None:
    assert not modules(IMPORTED.format(program)) & (HEAVY | SERVING)


def test_connecting_to_a_server_imports_no_engine_and_no_server() -> None:
    program = IMPORTED.format("import twinloop; twinloop.connect('http://127.0.0.1:9').close()")
    assert not modules(program) & (HEAVY | SERVING)


def test_logging_a_run_imports_no_engine_and_no_server(tmp_path: Path) -> None:
    program = (
        "import sys, time, twinloop as tl; run = tl.run(); run.log(loss=1); run.artifact(b'x', 'x'); time.sleep(0.5);"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", program]
    environ = {"TWINLOOP_URL": "http://127.0.0.1:9", "TWINLOOP_SPOOL": str(tmp_path), "TWINLOOP_EXIT_WAIT_S": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=os.environ | environ)
    assert not set(done.stdout.split()) & (HEAVY | SERVING)


def test_a_server_starts_on_a_migrated_home_without_any_engine(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    assert "alembic" in modules(COMPOSED, home)  # the first start makes the schema
    found = modules(COMPOSED, home)
    assert "sqlalchemy" in found
    assert not found & HEAVY
    assert "sqlalchemy.dialects.postgresql" not in found
