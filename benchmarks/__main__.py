"""``python -m benchmarks [NAME …]`` runs all benchmarks, or the named ones, and ends with 1 when one misses its target."""

from __future__ import annotations

import importlib
import sys

NAMES = ("start", "pipeline", "point_in_time", "tracking", "gateway", "prediction", "spooling")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"There is no benchmark {unknown[0]}. Benchmarks are: {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    missed = 0
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        missed |= importlib.import_module(f"benchmarks.{name}").main([])
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
