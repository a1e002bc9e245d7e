"""The project that ``init`` writes: small, without any extra to install, and able to run at once."""

from __future__ import annotations

import re

_TOML = """\
[project]
name = "{name}"
definitions = ["definitions.py"]
"""

_DEFINITIONS = '''\
"""What this project declares, and its pipelines. `twinloop apply` makes declarations exist; `twinloop run` runs."""

import twinloop as tl

# A prompt is a revision: change its text, apply again, and see what the plan says.
answers = tl.Prompt(
    name="{name}/answers",
    system="Answer in one sentence, from the passages only.",
)


@tl.step
def count_letters(text: str) -> int:
    """A step is recorded as it runs and skipped when its code and inputs are unchanged."""
    return sum(letter.isalpha() for letter in text)


@tl.step
def greeting(name: str, letters: int) -> str:
    return f"Hello {{name}}, your name has {{letters}} letters."


@tl.pipeline
def greet(name: str = "world") -> str:
    """Steps that are called here become a graph: twinloop run greet --param name=Ada"""
    return greeting(name, count_letters(name))
'''


def files(folder: str) -> dict[str, str]:
    """Contents by file name of a project that lies in ``folder``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-.") or "project"
    return {"twinloop.toml": _TOML.format(name=name), "definitions.py": _DEFINITIONS.format(name=name)}
