"""Overhead of recording: time per no-op step and per cached step, through the embedded client."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import twinloop as tl
from twinloop.control.pipelines.graph import Pipeline

STEPS = 200
NOOP_LIMIT_MS = 2.0
CACHED_LIMIT_MS = 1.0


@tl.step(cache=False)
def nothing(x: int) -> int:
    return x


@tl.step
def unchanged(x: int) -> int:
    return x


@tl.pipeline
def noop_chain() -> int:
    """Each step waits for the one before: nothing can be hidden by doing steps side by side."""
    value = nothing(0)
    for _ in range(STEPS - 1):
        value = nothing(value)
    return value


@tl.pipeline
def noop_fan() -> list[int]:
    return [nothing(number) for number in range(STEPS)]


@tl.pipeline
def cached_chain() -> Any:
    value: Any = unchanged(0)
    for number in range(STEPS - 1):
        value = unchanged([value, number])  # type: ignore[arg-type]
        value = value[1]
    return value


@tl.pipeline
def cached_fan() -> list[int]:
    return [unchanged(number) for number in range(STEPS)]


def per_step_ms(client: tl.Client, pipeline: Pipeline[..., Any], expected: str, rounds: int) -> float:
    """Median over the rounds of a whole run's time by its number of steps: begin, steps, acknowledgement, end."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        report = client.pipelines.run(pipeline)
        times.append((time.perf_counter() - started) / STEPS * 1e3)
        fates = {step.fate for step in report.steps}
        if fates != {expected}:
            raise RuntimeError(f"{pipeline.name}: expected every step to be {expected}, got {fates}")
    return sorted(times)[len(times) // 2]


def bare_ms(function: Callable[[int], int]) -> float:
    """The same calls with nothing around them."""
    started = time.perf_counter()
    value = 0
    for _ in range(STEPS):
        value = function(value)
    return (time.perf_counter() - started) / STEPS * 1e3


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 when every overhead is within its limit, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory() as folder, tl.connect(home=Path(folder) / "home") as client:
        for pipeline in (cached_chain, cached_fan):
            client.pipelines.run(pipeline)
        rows = [
            ("no-op step, one after another", per_step_ms(client, noop_chain, "run", rounds), NOOP_LIMIT_MS),
            ("no-op step, independent", per_step_ms(client, noop_fan, "run", rounds), NOOP_LIMIT_MS),
            ("cached step, one after another", per_step_ms(client, cached_chain, "cached", rounds), CACHED_LIMIT_MS),
            ("cached step, independent", per_step_ms(client, cached_fan, "cached", rounds), CACHED_LIMIT_MS),
        ]
    print(
        f"pipeline: {STEPS} steps a run, median of {rounds} runs; a bare call takes {bare_ms(nothing.function):.5f} ms"
    )
    print(f"{'':<34}{'ms/step':>10}{'limit':>10}{'ratio':>10}")
    for name, value, limit in rows:
        print(f"{name:<34}{value:>10.3f}{limit:>10.1f}{value / limit:>10.2f}")
    return 0 if all(value <= limit for _, value, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
