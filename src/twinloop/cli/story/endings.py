"""The last chapters: why and impact, rollbacks under load, and what to try next."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from twinloop.cli.lineage import tree
from twinloop.cli.story.flights import Flights
from twinloop.cli.story.handbook import Handbook
from twinloop.cli.story.teller import Teller
from twinloop.core.errors import Refused
from twinloop.sdk.load import PacedLoad

_RATE = 50.0
_BEFORE_S = 2.0
_AFTER_S = 2.0
_LINES_SHOWN = 24
_LATEST_S = 1.0


def explain(teller: Teller, flights: Flights, handbook: Handbook) -> None:
    """The ancestry of one prediction and one answer, and what the weather and one document touched."""
    for what, trace in (("a prediction", flights.trace), ("an answer", handbook.trace)):
        teller.chapter(f"Why: everything behind {what}")
        graph = teller.client.lineage.why(trace)
        lines = list(tree(graph, "child", "parent"))
        teller.say(lines[:_LINES_SHOWN])
        if len(lines) > _LINES_SHOWN:
            teller.say(f"… {len(lines) - _LINES_SHOWN} more lines: twinloop why {trace}")
    teller.chapter("Impact: what the weather and one document touched")
    for node in ("dataset/weather", handbook.document):
        counts = teller.client.lineage.impact(node)["counts"]
        teller.say(f"{node}: " + ", ".join(f"{number} {kind}" for kind, number in counts.items()))


def roll_back_under_load(teller: Teller, endpoint: str, newest: str, older: str, ask: Callable[[], str]) -> None:
    """Make ``newest`` live, roll back while requests come, and hold the result to what is promised.

    Raises:
        Refused: a request failed, or the older release answered too late.
    """
    teller.chapter(f"Rollback of {endpoint} under {_RATE:.0f} requests a second")
    if teller.client.endpoints.get(endpoint)["live"] != newest:
        teller.client.endpoints.rollback(endpoint, to=newest, reason="to have something to roll back")
    with PacedLoad(ask, _RATE) as load:
        time.sleep(_BEFORE_S)
        moment = time.perf_counter()
        now = teller.client.endpoints.rollback(endpoint, to=older, reason="rollback under load")
        time.sleep(_AFTER_S)
    report = load.report()
    waited = load.first_answer(older, moment)
    teller.say(
        f"{report.requests} requests at {report.rate:.0f}/s, {report.failed} failed, "
        f"p50 {report.p50 * 1e3:.0f} ms, p99 {report.p99 * 1e3:.0f} ms"
    )
    for error in report.errors[:3]:
        teller.say(f"failed: {error}")
    if report.failed or waited is None or waited > _LATEST_S:
        seen = "never" if waited is None else f"after {waited:.2f} s"
        raise Refused(f"{report.failed} requests failed and {older} answered {seen}. See the server's log.")
    teller.say(f"first answer of {now['live']} after {waited * 1e3:.0f} ms")


def sum_up(teller: Teller, url: str, flights: Flights, options: str) -> None:
    """What was built, and five commands to try, with the ``options`` they need to find this home."""
    status = teller.client.status()
    counts = status["counts"]
    teller.chapter("Built")
    teller.say(
        f"{counts['revisions']} revisions, {counts['releases']} releases, {counts['traces']} traces in {status['home']}"
    )
    teller.say(f"- {line}" for line in teller.built)
    words = " ".join(f"{name}={value}" for name, value in flights.flight.items())
    program = sys.argv[0] if Path(sys.argv[0]).name == "twinloop" else "twinloop"
    print("\nTry next:")
    for command in (
        "status",
        f"predict flight-delay {words}",
        'ask handbook "What is a release?"',
        f"why {flights.trace}",
        "releases flight-delay",
    ):
        print(f"  {program} {command}{options}")
    print(f"\nThe console: {url}", flush=True)
