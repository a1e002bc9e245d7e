"""What the documents say of benchmarks can be typed."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.__main__ import NAMES

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"python -m benchmarks(?P<dot>\.| )(?P<name>[a-z_]+)")


def test_every_benchmark_has_a_module() -> None:
    assert [name for name in NAMES if not (ROOT / "benchmarks" / f"{name}.py").is_file()] == []


def test_every_command_in_the_documents_names_a_benchmark() -> None:
    found = [hit for page in (ROOT / "docs").rglob("*.md") for hit in COMMAND.finditer(page.read_text())]
    assert len(found) > 5
    for hit in found:
        name = hit["name"]
        known = name in NAMES if hit["dot"] == " " else (ROOT / "benchmarks" / f"{name}.py").is_file()
        assert known, f"{hit[0]} in the documents is no benchmark"
