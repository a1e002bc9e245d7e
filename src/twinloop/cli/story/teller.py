"""What the parts of the story share: the client, the clock, and how they speak."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import NotFound

if TYPE_CHECKING:
    from twinloop.sdk.client import Client
    from twinloop.sdk.project import Project

_EXAMPLES = Path(__file__).parents[4] / "examples"


class Teller:
    """Prints what happens as it happens, with the seconds since the story began."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.built: list[str] = []
        self._began = time.perf_counter()

    def chapter(self, title: str) -> None:
        print(f"\n[{self.seconds:5.1f} s] {title}", flush=True)

    def say(self, lines: str | Iterable[str]) -> None:
        for line in [lines] if isinstance(lines, str) else lines:
            print(f"          {line}", flush=True)

    def remember(self, line: str) -> None:
        """Something for the list at the end of what was built."""
        if line not in self.built:
            self.built.append(line)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def apply(self, project: Project) -> None:
        """Make what a project declares exist, showing the plan."""
        from twinloop.sdk.plan import apply, planned

        with planned(self.client, project) as plan:
            self.say(plan.lines())
            for _ in apply(plan):
                pass

    def run(self, project: Project, pipeline: str, **params: Any) -> Any:
        """Run a pipeline, with a line as each step ends, and return its value."""
        report = self.client.pipelines.run(
            project.pipeline(pipeline), params, workers=2, progress=lambda step: self.say(step.line())
        )
        self.say(report.summary().splitlines()[-1])
        return report.value

    def release(self, endpoint: str, **wanted: Any) -> str:
        """Release as declared and return the release's reference."""
        from twinloop.sdk.releasing import release

        made = release(self.client, endpoint, **wanted)
        gate = f", gate {made['gate']['verdict']}" if made.get("gate") else ""
        pins = ", ".join(f"{role} {pin['ref']}" for role, pin in made["pins"].items())
        self.say(f"released {made['ref']} as {made['state']}{gate}: {pins}")
        return str(made["ref"])


def example(name: str) -> Project:
    """The project ``examples/<name>`` of the checkout this installation was made from.

    Raises:
        NotFound: this installation has no examples beside it.
    """
    from twinloop.sdk.project import load_project

    folder = _EXAMPLES / name
    if not (folder / "twinloop.toml").is_file():
        raise NotFound(
            f"There is no example project {folder}. The demo needs Twinloop's checkout: clone it and run make demo there."
        )
    return load_project(folder)


def docs_folder() -> Path:
    """The project's own documents."""
    return _EXAMPLES.parent / "docs"
