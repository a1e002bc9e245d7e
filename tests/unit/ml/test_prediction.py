from __future__ import annotations

import pytest

from tests.unit.ml.lane import ME, Lane, hour
from tests.unit.ml.test_deployment import activate, ask
from tests.unit.ml.trees import columns, online, trained
from twinloop.core.errors import InvalidInput
from twinloop.ml.prediction.model import BatchRequest, EvaluationRequest
from twinloop.ml.training.model import Draft


async def scored(lane: Lane, rows: int = 300) -> str:
    data, labels = columns(rows, seed=9)
    return (await lane.snapshot("test", {**data, "late": labels})).ref


async def base_rate(lane: Lane) -> str:
    draft = Draft("constant", "binary", "late", params={"value": 0.4})
    return (await lane.models.register(ME, "base", draft)).revision.ref


async def test_batch_keeps_rows_and_order_and_answers_what_serving_answers(lane: Lane) -> None:
    views = await online(lane)
    model = await trained(lane, views=views)
    rows = [{"flight": n % 2 + 1, "carrier": "AA", "at": hour(10), "id": n} for n in range(50)]
    frame = await lane.snapshot("today", rows)
    made = await lane.predictions.batch(ME, BatchRequest(model.ref, frame.ref, "answers", at="at"))
    found = await lane.rows(made.revision.ref)
    assert [row["id"] for row in found] == list(range(50))
    served = await ask(await activate(lane, model), [{"flight": n, "carrier": "AA"} for n in (1, 2)])
    assert [row["probability"] for row in found[:2]] == pytest.approx(served.columns["probability"])
    assert [row["late"] for row in found[:2]] == served.columns["late"]
    named = {(await lane.registry.get(ME, parent.digest)).ref for parent in made.revision.parents}
    assert named == {model.ref, frame.ref, "dataset/answers.inputs@1"}


async def test_batch_says_what_is_missing_and_what_collides(lane: Lane) -> None:
    model = await trained(lane)
    ref = await scored(lane)
    with pytest.raises(InvalidInput, match="column 'late'"):
        await lane.predictions.batch(ME, BatchRequest(model.ref, ref, "answers"))
    done = await lane.predictions.batch(ME, BatchRequest(model.ref, ref, "answers", prefix="predicted_"))
    assert {"late", "predicted_late", "predicted_probability"} <= set((await lane.rows(done.revision.ref))[0])
    bare = await lane.snapshot("bare", [{"x": 1}])
    with pytest.raises(InvalidInput, match="no column 'distance'"):
        await lane.predictions.batch(ME, BatchRequest(model.ref, bare.ref, "answers"))


async def test_evidence_names_model_dataset_and_baseline_and_has_slices(lane: Lane) -> None:
    model, base, data = await trained(lane), await base_rate(lane), await scored(lane)
    request = EvaluationRequest(model.ref, data, "late", slices=("carrier",), baseline=base)
    found = await lane.predictions.evaluate(ME, request)
    assert found.subject == model.digest
    assert found.dataset == (await lane.registry.get(ME, data)).digest
    assert found.baseline == (await lane.registry.get(ME, base)).digest
    measured = {estimate.metric: estimate for estimate in found.estimates}
    assert measured["auc"].low > 0.5
    assert measured["delta_auc"].low > 0
    assert measured["delta_log_loss"].high < 0
    assert {part.value for part in found.slices} == {"AA", "UA"}
    assert sum(part.estimates[0].n for part in found.slices) == measured["auc"].n == 300
    assert [item.id for item in await lane.evidence.list(ME, model.ref)] == [found.id]


async def test_rows_without_a_label_do_not_count(lane: Lane) -> None:
    data, labels = columns(200, seed=9)
    mixed = [None if n % 2 else label for n, label in enumerate(labels)]
    ref = (await lane.snapshot("half", {**data, "late": mixed})).ref
    found = await lane.predictions.evaluate(ME, EvaluationRequest((await trained(lane)).ref, ref, "late"))
    assert {estimate.n for estimate in found.estimates} == {100}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (EvaluationRequest("late", "test", "nothing"), "boolean column 'nothing'"),
        (EvaluationRequest("late", "test", "distance"), "boolean column 'distance'"),
        (EvaluationRequest("late", "test", "late", slices=("nope",)), "'nope' to slice by"),
        (EvaluationRequest("late", "test", "late", metrics=("magic",)), "no metric 'magic'"),
        (EvaluationRequest("late", "few", "late"), "at least 20 rows"),
    ],
)
async def test_an_evaluation_that_cannot_be_made_is_refused(lane: Lane, request_: EvaluationRequest, said: str) -> None:
    await trained(lane)
    await scored(lane)
    data, labels = columns(5)
    await lane.snapshot("few", {**data, "late": labels})
    with pytest.raises(InvalidInput, match=said):
        await lane.predictions.evaluate(ME, request_)
