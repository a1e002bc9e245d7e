from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from tests.unit.ml.lane import ME, Lane
from tests.unit.ml.trees import online, trained
from twinloop.core.errors import InvalidInput, NotFound, Refused
from twinloop.ml.training.encoding import Encoder, fit
from twinloop.ml.training.model import Draft, Input

NUMBER = (Input("x"),)


async def test_a_model_records_what_it_was_trained_on_and_what_it_reads(lane: Lane) -> None:
    views = await online(lane)
    data = await lane.snapshot("rows", [{"a": 1}])
    draft = Draft("constant", "binary", "late", views=tuple(views), training_set=data.ref, params={"value": 0.2})
    made = (await lane.models.register(ME, "base", draft, run_id=None)).revision
    named = {parent.role: (await lane.registry.get(ME, parent.digest)).ref for parent in made.parents}
    assert named == {"training_set": "dataset/rows@1", "view": "feature_view/delays@1"}
    closure = [revision.ref for revision in await lane.registry.closure(ME, [made])]
    assert closure == [made.ref, *views]
    again = await lane.models.register(ME, "base", draft)
    assert (again.created, again.revision.ref) == (False, made.ref)


@pytest.mark.parametrize("format", ["pickle", "joblib", "torch"])
async def test_an_unsafe_model_is_kept_marked_and_never_loaded(lane: Lane, format: str) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("the pickle was opened",))

    files = {"model.pkl": await lane.upload(pickle.dumps(Bomb()))}
    made = (await lane.models.register(ME, "unsafe", Draft(format, "binary", "late", NUMBER, files))).revision
    assert made.manifest["safe"] is False
    with pytest.raises(Refused, match="can run code"):
        lane.endpoint.check({"model": made})
    with pytest.raises(Refused, match="can run code"):
        await lane.endpoint.activate("default", {"model": made}, [])
    _, manifest = await lane.models.get(ME, made.ref)
    with pytest.raises(Refused, match="Save the model"):
        await lane.loader.load(made.ref, manifest)


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"PK\x03\x04 a torch archive"])
async def test_a_pickle_or_archive_in_safe_clothing_is_refused(lane: Lane, content: bytes) -> None:
    draft = Draft("xgboost-ubj", "binary", "late", NUMBER, {"model.ubj": await lane.upload(content)})
    with pytest.raises(InvalidInput, match="begins like a pickle"):
        await lane.models.register(ME, "disguised", draft)


async def test_a_manifest_cannot_claim_that_a_pickle_is_safe(lane: Lane) -> None:
    made = await trained(lane)
    for changed in ({"format": "pickle"}, {"safe": False}):
        with pytest.raises(InvalidInput, match="safe"):
            await lane.registry.register(ME, "model", "liar", {**made.manifest, **changed})


@pytest.mark.parametrize(
    ("draft", "said"),
    [
        (Draft("sorcery", "binary", "late"), "not a model format"),
        (Draft("xgboost-ubj", "binary", "late", NUMBER), "needs its file"),
        (Draft("constant", "binary", "late"), "number it always answers"),
        (Draft("constant", "binary", "late", params={"value": 1.5}), "probability"),
        (Draft("constant", "binary", "late", NUMBER * 2, params={"value": 0.5}), "input twice"),
        (Draft("constant", "binary", "late", threshold=1.0, params={"value": 0.5}), "threshold"),
    ],
)
async def test_a_model_that_makes_no_sense_is_refused(lane: Lane, draft: Draft, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await lane.models.register(ME, "bad", draft)


async def test_files_views_and_training_sets_must_exist(lane: Lane) -> None:
    value = {"value": 0.5}
    for draft in (
        Draft("xgboost-ubj", "binary", "late", NUMBER, {"m": "sha256:" + "0" * 64}),
        Draft("constant", "binary", "late", views=("nowhere",), params=value),
        Draft("constant", "binary", "late", training_set="nothing", params=value),
    ):
        with pytest.raises(NotFound):
            await lane.models.register(ME, "lost", draft)


def test_categories_are_places_in_a_sorted_list_and_strangers_are_missing() -> None:
    inputs = fit({"c": ["b", None, "a"], "n": [1]}, ["n"], ["c"])
    assert inputs[1].categories == ("a", "b")
    found = Encoder(inputs).matrix({"c": ["b", "zz", None], "n": [1, None, True]}, 3)
    np.testing.assert_array_equal(found, np.array([[1, 1], [np.nan, np.nan], [1, np.nan]], dtype=np.float32))


def test_lists_and_arrays_encode_alike() -> None:
    inputs = (Input("n"), Input("c", "category", ("1", "2")))
    lists = Encoder(inputs).matrix({"n": [1.5, 2.0], "c": [1, 2]}, 2)
    arrays = Encoder(inputs).matrix({"n": np.array([1.5, 2.0]), "c": np.array([1, 2])}, 2)
    np.testing.assert_array_equal(lists, arrays)


def test_an_input_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidInput, match="'n'"):
        Encoder((*NUMBER, Input("n"))).matrix({"x": [1], "n": ["word"]}, 1)
    with pytest.raises(InvalidInput, match="'n' is missing"):
        Encoder((Input("n"),)).matrix({}, 1)
