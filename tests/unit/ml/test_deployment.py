from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.ml.lane import ME, Lane, hour, micros
from tests.unit.ml.trees import online, trained
from twinloop.control.registry.model import Revision
from twinloop.control.releases.answers import PredictAnswer, PredictRequest, SearchRequest
from twinloop.control.tracing.model import Recorder
from twinloop.core.clock import SystemClock
from twinloop.core.errors import InvalidInput, Refused, Unavailable
from twinloop.core.ids import new_span_id, new_trace_id
from twinloop.ml.deployment.batching import Batcher, Matrices
from twinloop.ml.deployment.target import PredictTarget
from twinloop.ml.training.model import Draft, Input


async def activate(lane: Lane, model: Revision) -> PredictTarget:
    required = [revision for revision in await lane.registry.closure(ME, [model]) if revision.ref != model.ref]
    return await lane.endpoint.activate("default", {"model": model}, required)


def recorder() -> Recorder:
    return Recorder(new_trace_id(), SystemClock().now_ns, new_span_id)


async def ask(target: PredictTarget, rows: list[dict[str, Any]], record: Recorder | None = None) -> PredictAnswer:
    names = list(dict.fromkeys(name for row in rows for name in row))
    request = PredictRequest({name: [row.get(name) for row in rows] for name in names}, len(rows))
    with (record or recorder()).start("predict") as span:
        return await target.answer(request, span)


async def serving(lane: Lane, until: float = 10) -> PredictTarget:
    return await activate(lane, await trained(lane, views=await online(lane, until)))


FLIGHT = {"flight": 1, "carrier": "AA"}


async def test_a_prediction_needs_only_an_identity_and_equals_the_one_with_all_features_given(lane: Lane) -> None:
    target = await serving(lane)
    looked_up = await ask(target, [FLIGHT, {"flight": 2, "carrier": "UA"}])
    given = await ask(
        target,
        [
            {"carrier": "AA", "dest": "BOS", "distance": 187.0, "late_6h": 0.5},
            {"carrier": "UA", "dest": "LAX", "distance": 2475.0, "late_6h": 1.0},
        ],
    )
    assert looked_up == given
    assert looked_up.columns["late"] == [p >= 0.5 for p in looked_up.columns["probability"]]


async def test_a_given_feature_replaces_the_stored_one_and_null_means_missing(lane: Lane) -> None:
    target = await serving(lane)
    [stored] = (await ask(target, [FLIGHT])).columns["probability"]
    [high] = (await ask(target, [{**FLIGHT, "late_6h": 1.0}])).columns["probability"]
    [missing] = (await ask(target, [{**FLIGHT, "late_6h": None}])).columns["probability"]
    assert len({stored, high, missing}) == 3


async def test_values_older_than_the_ttl_are_missing_by_the_clock_of_the_replay_or_of_the_request(lane: Lane) -> None:
    target = await serving(lane)
    [missing] = (await ask(target, [{**FLIGHT, "late_6h": None}])).columns["probability"]
    [fresh] = (await ask(target, [FLIGHT])).columns["probability"]
    [late] = (await ask(target, [{**FLIGHT, "at": "2013-01-01T22:00:00Z"}])).columns["probability"]
    [just] = (await ask(target, [{**FLIGHT, "at": "2013-01-01T21:00:00Z"}])).columns["probability"]
    assert (late, just) == (missing, fresh)
    await lane.features.materialize(ME, ["delays"])
    [now] = (await ask(target, [FLIGHT])).columns["probability"]
    assert now == missing


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"carrier": "AA"}, "Input 'flight' is missing"),
        ({"flight": 1}, "Input 'carrier' is missing"),
        ({**FLIGHT, "colour": "red"}, "no input 'colour'"),
        ({"flight": "1", "carrier": "AA"}, "'flight', row 0, must be a whole number"),
        ({"flight": 1.0, "carrier": "AA"}, "'flight', row 0, must be a whole number"),
        ({"flight": True, "carrier": "AA"}, "'flight', row 0, must be a whole number"),
        ({"flight": 2**63, "carrier": "AA"}, "'flight', row 0, must be a whole number"),
        ({"flight": None, "carrier": "AA"}, "is missing"),
        ({"flight": 1, "carrier": 5}, "'carrier', row 0, must be text"),
        ({**FLIGHT, "distance": float("nan")}, "'distance', row 0, must be a finite number"),
        ({**FLIGHT, "distance": float("inf")}, "'distance', row 0, must be a finite number"),
        ({**FLIGHT, "distance": [1]}, "'distance', row 0, must be a finite number"),
        ({**FLIGHT, "at": "yesterday"}, "'at', row 0, must be a time"),
        ({**FLIGHT, "flight": 999}, "routes knows nothing about flight=999"),
    ],
)
async def test_a_request_that_does_not_fit_is_refused_by_name(lane: Lane, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await ask(await serving(lane), [row])


async def test_sizes_and_kinds_of_requests_are_checked(lane: Lane) -> None:
    target = await serving(lane)
    with recorder().start("predict") as span:
        with pytest.raises(InvalidInput, match="1 to 10000 rows"):
            await target.answer(PredictRequest({}, 0), span)
        with pytest.raises(InvalidInput, match="1 to 10000 rows"):
            await target.answer(PredictRequest({"flight": [1] * 10_001, "carrier": ["AA"] * 10_001}, 10_001), span)
        with pytest.raises(InvalidInput, match="2 values for 1 rows"):
            await target.answer(PredictRequest({"flight": [1, 2], "carrier": ["AA"]}, 1), span)
        with pytest.raises(InvalidInput, match="predicts"):
            await target.answer(SearchRequest("x"), span)


async def test_what_was_read_is_linked_to_the_materialised_values(lane: Lane) -> None:
    target, record = await serving(lane), recorder()
    await ask(target, [FLIGHT, FLIGHT], record)
    links = {link.via["name"]: link for link in record.links if link.via}
    assert set(links) == {"routes", "delays"}
    assert links["delays"].parent == (await lane.registry.get(ME, "dataset/features/delays")).digest
    via = links["delays"].via or {}
    assert (via["kind"], via["version"]) == ("feature_values", "2013-01-01T09:00:00.000000Z")
    assert (via["entity"], via["values"]) == ({"dest": "BOS"}, {"late_6h": 0.5})
    roles = {parent.role for parent in (await lane.registry.get(ME, links["delays"].parent)).parents}
    assert roles == {"view", "source"}


async def test_a_large_request_is_linked_to_the_datasets_only(lane: Lane) -> None:
    target, record = await serving(lane), recorder()
    await ask(target, [FLIGHT] * 101, record)
    assert [link.via for link in record.links] == [None, None]


async def test_metadata_speaks_open_inference(lane: Lane) -> None:
    found = (await serving(lane)).metadata()
    assert found["inputs"] == [
        {"name": "flight", "datatype": "INT64", "shape": [-1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
    ]
    assert [(output["name"], output["datatype"]) for output in found["outputs"]] == [
        ("probability", "FP64"),
        ("late", "BOOL"),
    ]


async def test_a_release_without_online_values_is_refused(lane: Lane) -> None:
    views = await online(lane)
    model = await trained(lane, views=views)
    await lane.store.write(lambda connection: connection.exec_driver_sql("DELETE FROM online_views"))
    lane.online.__init__(lane.store)  # type: ignore[misc]
    with pytest.raises(Refused, match="no online values yet"):
        await activate(lane, model)


async def test_pins_of_other_roles_and_kinds_are_refused(lane: Lane) -> None:
    data = await lane.snapshot("rows", [{"a": 1}])
    model = await trained(lane)
    for pins in ({}, {"model": data}, {"model": model, "extra": data}, {"prompt": model}):
        with pytest.raises(InvalidInput):
            lane.endpoint.check(pins)
    assert lane.endpoint.gate_subject({"model": model}).ref == model.ref


async def test_damaged_files_are_refused_before_anything_is_switched(lane: Lane) -> None:
    good = await trained(lane)
    content = b"".join([chunk async for chunk in lane.blobs.open(good.manifest["files"]["model.ubj"]["digest"])])
    for data, said in ((content[:500], "not a whole XGBoost model"), (b"{}", "not a whole XGBoost model")):
        draft = Draft("xgboost-ubj", "binary", "late", (Input("x"),), {"model.ubj": await lane.upload(data)})
        bad = (await lane.models.register(ME, "damaged", draft)).revision
        with pytest.raises(InvalidInput, match=said):
            await activate(lane, bad)
    draft = Draft("xgboost-ubj", "binary", "late", (Input("x"),), {"model.ubj": await lane.upload(content)})
    with pytest.raises(InvalidInput, match="takes 4 inputs"):
        await activate(lane, (await lane.models.register(ME, "narrow", draft)).revision)


async def test_an_onnx_model_answers_and_a_damaged_one_does_not_load(lane: Lane) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.array([[1.0], [2.0]], dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["p"])],
        "logistic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(content))
    inputs = (Input("a"), Input("b"))
    draft = Draft("onnx", "binary", "yes", inputs, {"model.onnx": await lane.upload(content)})
    target = await activate(lane, (await lane.models.register(ME, "logistic", draft)).revision)
    answer = await ask(target, [{"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 1.0}])
    assert answer.columns["probability"] == pytest.approx([0.5, 1 / (1 + np.exp(-3))])
    bad = Draft("onnx", "binary", "yes", inputs, {"model.onnx": await lane.upload(content[:40])})
    with pytest.raises(InvalidInput, match="not a whole ONNX model"):
        await activate(lane, (await lane.models.register(ME, "broken", bad)).revision)
    three = Draft("onnx", "binary", "yes", (*inputs, Input("c")), {"model.onnx": await lane.upload(content)})
    with pytest.raises(InvalidInput, match="one float32 input"):
        await activate(lane, (await lane.models.register(ME, "wide", three)).revision)


class Slow:
    """Takes a while, counts its runs, and answers with the first column."""

    def __init__(self, seconds: float = 0.02, fail: bool = False) -> None:
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self._seconds = seconds
        self._fail = fail

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        self.sizes.append(len(matrix))
        self.threads.add(threading.get_ident())
        time.sleep(self._seconds)
        if self._fail:
            raise InvalidInput("the model broke")
        return matrix[:, 0].astype(np.float64)


def row(value: float) -> NDArray[np.float32]:
    return np.array([[value]], dtype=np.float32)


async def test_requests_that_wait_run_together_and_each_gets_its_own_answer() -> None:
    model = Slow()
    batcher = Batcher(model, Matrices())
    first = asyncio.create_task(batcher.predict(row(-1)))
    await asyncio.sleep(0.005)
    answers = await asyncio.gather(*(batcher.predict(row(n)) for n in range(40)))
    assert [answer.tolist() for answer in answers] == [[float(n)] for n in range(40)]
    assert (await first).tolist() == [-1.0]
    assert model.sizes == [1, 40]
    assert len(model.threads) == 1
    await batcher.aclose()


async def test_a_lone_request_does_not_wait_for_others() -> None:
    batcher = Batcher(Slow(0), Matrices())
    began = time.perf_counter()
    for n in range(50):
        await batcher.predict(row(n))
    assert (time.perf_counter() - began) / 50 < 0.01
    await batcher.aclose()


async def test_a_failing_run_fails_its_requests_and_not_the_next_ones() -> None:
    model = Slow(fail=True)
    batcher = Batcher(model, Matrices())
    results = await asyncio.gather(*(batcher.predict(row(n)) for n in range(3)), return_exceptions=True)
    assert all(isinstance(result, InvalidInput) for result in results)
    model._fail = False
    assert (await batcher.predict(row(7))).tolist() == [7.0]
    await batcher.aclose()


async def test_a_cancelled_request_does_not_disturb_its_batch() -> None:
    batcher = Batcher(Slow(), Matrices())
    running = asyncio.create_task(batcher.predict(row(0)))
    await asyncio.sleep(0.005)
    gone, kept = asyncio.create_task(batcher.predict(row(1))), asyncio.create_task(batcher.predict(row(2)))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await kept).tolist() == [2.0]
    assert (await running).tolist() == [0.0]
    await batcher.aclose()


async def test_closing_answers_what_waits_and_refuses_what_comes() -> None:
    batcher = Batcher(Slow(), Matrices())
    waiting = asyncio.create_task(batcher.predict(row(3)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.aclose())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await batcher.predict(row(4))
    assert (await waiting).tolist() == [3.0]
    await closing


async def test_the_online_clock_of_a_replay_stands_still(lane: Lane) -> None:
    views = await online(lane, until=10)
    [_, digest] = [bound.digest for bound in await lane.features.views(ME, views)]
    held = await lane.online.generation("default", digest)
    assert held is not None
    assert held.clock_us == micros(hour(10))
