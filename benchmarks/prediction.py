"""Requests per second at concurrency 16: a predict endpoint against a bare ASGI handler that calls the same model.

Both are separate processes (uvicorn, httptools, uvloop) and are sent one row a request over kept connections by a
client that does as little as possible. The bare handler decodes JSON, fills a row, calls the booster and encodes the
answer: no key, no route, no checks, no trace, no lineage. ``given`` sends every feature to both; ``looked up`` sends the
endpoint only an identity, so that it reads its features from the online store, and the bare handler every feature.
Rounds alternate, and the ratio is that of the medians.

    python -m benchmarks.prediction [--rounds 15] [--requests 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy as np

from benchmarks.processes import process, serve

CONCURRENCY = 16
TARGET = 0.5
USERS = 1000
NUMBERS = [f"n{place}" for place in range(18)]
CATEGORIES = ["plan", "country"]
NAMES = [*NUMBERS, *CATEGORIES]
PLANS, COUNTRIES = ["basic", "plus", "pro"], [f"c{place:02}" for place in range(20)]

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


def people(rows: int) -> dict[str, list[Any]]:
    """Made-up users: 18 numbers and two categories each."""
    random = np.random.default_rng(11)
    found: dict[str, list[Any]] = {name: random.normal(size=rows).round(4).tolist() for name in NUMBERS}
    found["plan"] = random.choice(PLANS, rows).tolist()
    found["country"] = random.choice(COUNTRIES, rows).tolist()
    return {"user": list(range(rows)), **found}


def bare(model: Path) -> Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]:
    """The least that serves the model over HTTP."""
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(model.read_bytes()))
    booster.set_param({"nthread": 1})
    codes = {"plan": {v: i for i, v in enumerate(PLANS)}, "country": {v: i for i, v in enumerate(COUNTRIES)}}

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        message = await receive()
        rows = msgspec.json.decode(message["body"])["rows"]
        values = [[codes[n][row[n]] if n in codes else row[n] for n in NAMES] for row in rows]
        found = booster.inplace_predict(np.array(values, dtype=np.float32), validate_features=False).tolist()
        body = msgspec.json.encode({"outputs": [{"probability": p, "leaves": p >= 0.5} for p in found]})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


def release_endpoint(url: str, into: Path) -> None:
    """Train, define two views, put them online, release; writes the model's file to ``into`` for the bare handler."""
    import xgboost

    import twinloop as tl
    from twinloop.ml.training.model import Input

    data = people(20_000)
    random = np.random.default_rng(12)
    chance = 1 / (1 + np.exp(-np.array(data["n0"]) - np.array(data["n1"]) * (np.array(data["plan"]) == "pro")))
    inputs = (
        *(Input(name) for name in NUMBERS),
        Input("plan", "category", tuple(PLANS)),
        Input("country", "category", tuple(COUNTRIES)),
    )
    users = {name: values[:USERS] for name, values in data.items()}
    with tl.connect(url=url) as client:
        matrix = client.models.encode(data, inputs)
        kinds = ["c" if item.type == "category" else "float" for item in inputs]
        labels = (random.random(20_000) < chance).astype(np.float32)
        params = {"objective": "binary:logistic", "max_depth": 6, "nthread": 2}
        booster = xgboost.train(params, xgboost.DMatrix(matrix, labels, feature_types=kinds), 120)
        into.write_bytes(bytes(booster.save_raw("ubj")))
        client.data.snapshot("users", users)
        views = [
            tl.FeatureView("numbers", "users", ("user:int64",), tuple(tl.Column(name) for name in NUMBERS)),
            tl.FeatureView("facts", "users", ("user:int64",), tuple(tl.Column(n, type="string") for n in CATEGORIES)),
        ]
        refs = [revision["ref"] for revision in client.features.define(*views)]
        client.features.materialize(refs)
        model = client.models.log("leaves", booster, label="leaves", inputs=inputs, views=refs)
        client.endpoints.release("bench", "predict", {"model": model["ref"]})


async def load(url: str, path: str, bodies: list[bytes], requests: int) -> float:
    """Send ``requests`` requests, CONCURRENCY at a time; requests per second. Raises when one is not answered."""
    where = urlsplit(url)
    sent = [
        f"POST {path} HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
        for body in bodies
    ]
    left = iter(range(requests))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        for number in left:
            writer.write(sent[number % len(sent)])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"http/1.1 200") or b"probability" not in body:
                raise SystemExit(f"{url}{path} answered {head[:40]!r} {body[:300]!r}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return requests / (time.perf_counter() - began)


class Case(NamedTuple):
    """What the endpoint and the bare handler are sent."""

    name: str
    endpoint: list[bytes]
    bare: list[bytes]


def cases() -> list[Case]:
    users = people(USERS)
    rows = [{name: users[name][place] for name in NAMES} for place in range(USERS)]
    given = [msgspec.json.encode({"rows": [row]}) for row in rows]
    identity = [msgspec.json.encode({"rows": [{"user": user}]}) for user in users["user"]]
    return [Case("given", given, given), Case("looked up", identity, given)]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 when both ratios reach the target, else 1."""
    parser = argparse.ArgumentParser(description="Requests per second against a bare handler of the same model.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(bare(Path(options.serve)))
        return 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twinloop-bench-")))
        home = os.fspath(folder / "home")
        twinloop = stack.enter_context(process("twinloop", "up", "--port", "0", "--home", home)).url
        release_endpoint(twinloop, folder / "model.ubj")
        plain = stack.enter_context(process("benchmarks.prediction", "--serve", os.fspath(folder / "model.ubj"))).url
        print(f"prediction: requests/s, {options.rounds} rounds of {options.requests}, {CONCURRENCY} at a time")
        print(f"{'':10}{'bare':>10}{'endpoint':>12}{'ratio':>9}{'target':>10}")
        worst = float("inf")
        for case in cases():
            rates: tuple[list[float], list[float]] = ([], [])
            for number in range(options.rounds + 1):
                one = asyncio.run(load(plain, "/", case.bare, options.requests))
                two = asyncio.run(load(twinloop, "/api/v1/endpoints/bench/predict", case.endpoint, options.requests))
                if number:  # the first round warms both up
                    rates[0].append(one)
                    rates[1].append(two)
            low, high = statistics.median(rates[0]), statistics.median(rates[1])
            print(f"{case.name:10}{low:10.0f}{high:12.0f}{high / low:8.2f}x{f'>= {TARGET}x':>10}")
            worst = min(worst, high / low)
    return 0 if worst >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
