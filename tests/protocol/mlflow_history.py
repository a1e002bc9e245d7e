"""An MLflow with a bit of everything in it, made by MLflow itself: served, and as the SQLite file behind the server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import peer

SCRIPT = Path(__file__).parent / "import_sources" / "make_history.py"


def fill(uri: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Let MLflow's own client write its history to ``uri``; returns what the script says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(peer.PYTHON), str(SCRIPT), uri, *arguments],
        env=peer.environment(),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told
