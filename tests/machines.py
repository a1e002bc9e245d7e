"""Runs state machines, each example on a store of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

from twinloop.backends.sqlite import open_store


def play(machine: type[RuleBasedStateMachine], folder: Path, steps: int) -> None:
    """40 examples of at most ``steps`` steps; ``machine.template`` becomes the file of an empty store, to be copied.

    Each step opens transactions, so failures are not shrunk: it would take minutes.
    """
    template = folder / "template.db"

    async def make() -> None:
        await open_store(template).aclose()

    asyncio.run(make())
    machine.template = template  # type: ignore[attr-defined]
    case = machine.TestCase
    case.settings = settings(
        max_examples=40,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    case("runTest").runTest()
