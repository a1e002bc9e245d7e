from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest

from tests.unit.ml.lane import ME, Lane
from tests.unit.ml.packaged import FOLDER, URI, NoUris, describe, mlmodel, numbers, put, register, xgboost_flavors
from tests.unit.ml.trees import trained
from twinloop.core.errors import InvalidInput, Refused
from twinloop.ml.training.kind import ModelKind, read_manifest
from twinloop.ml.training.model import ModelManifest
from twinloop.ml.training.packages import PackageManifest

pytest.importorskip("yaml", reason="PyYAML is not installed: pip install 'twinloop[ml]'")

PICKLE = pickle.dumps({"a": 1})
UBJ = b"{L\x00\x00 a file that only looks like UBJSON"


def sklearn_flavors(form: str, path: str) -> dict[str, Any]:
    return {
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": path, "predict_fn": "predict"},
        "sklearn": {"pickled_model": path, "serialization_format": form, "sklearn_version": "1.9.1"},
    }


async def test_a_folder_becomes_a_manifest_of_its_files_signature_and_example(lane: Lane) -> None:
    files = {
        "MLmodel": mlmodel(xgboost_flavors(), numbers("a", "b"), numbers("y"), example=True),
        "model.ubj": UBJ,
        "serving_input_example.json": b"{}",
        "requirements.txt": b"# made by MLflow\nmlflow==3.17.2\n\nxgboost-cpu==3.2.0\n",
        "code/helpers.py": b"print(1)",
    }
    await put(lane, files)
    found = await describe(lane)
    assert (found.format, found.safe, found.flavor, found.load) == ("xgboost-ubj", True, "xgboost", ("model.ubj",))
    assert found.flavors == ("python_function", "xgboost")
    assert {path: file.size for path, file in found.files.items()} == {p: len(c) for p, c in files.items()}
    assert found.files["model.ubj"].digest == (await lane.artifacts.get(ME, f"{FOLDER}/model.ubj")).digest
    assert found.inputs is not None
    assert [field.name for field in found.inputs] == ["a", "b"]
    assert found.example is not None
    assert found.example.path == "serving_input_example.json"
    assert found.requirements == ("mlflow==3.17.2", "xgboost-cpu==3.2.0")
    assert (found.python, found.run_id, found.model_id, found.source) == ("3.11.7", "r1", "m-1", URI)
    ModelKind().validate(msgspec.to_builtins(found))
    assert read_manifest(msgspec.to_builtins(found)) == found


async def test_files_that_change_later_do_not_change_what_was_registered(lane: Lane) -> None:
    made = await register(lane, {"MLmodel": mlmodel(xgboost_flavors()), "model.ubj": UBJ})
    await put(lane, {"model.ubj": b"other"}, "1/models/iris/artifacts")
    again = await register(lane, {"MLmodel": mlmodel(xgboost_flavors()), "model.ubj": b"other"})
    assert (made.number, again.number) == (1, 2)
    kept = (await lane.registry.get(ME, made.ref)).manifest["files"]["model.ubj"]["digest"]
    assert b"".join([chunk async for chunk in lane.blobs.open(kept)]) == UBJ


@pytest.mark.parametrize(
    ("flavors", "files", "said"),
    [
        (sklearn_flavors("cloudpickle", "model.pkl"), {"model.pkl": PICKLE}, "serialization_format='skops'"),
        (sklearn_flavors("skops", "model.skops"), {"model.skops": PICKLE}, "model.skops is a pickle"),
        (sklearn_flavors("skops", "gone.skops"), {}, "gone.skops is missing"),
        (xgboost_flavors(), {"model.ubj": PICKLE}, "model_format='ubj'"),
        (
            {"xgboost": {"data": "model.xgb", "model_format": "xgb"}},
            {"model.xgb": b"binf"},
            "in the format xgb",
        ),
        (
            {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}},
            {"python_model.pkl": PICKLE},
            "Python function",
        ),
        (
            {**xgboost_flavors(), "python_function": {"loader_module": "my.own.loader"}},
            {"model.ubj": UBJ},
            "Python code of its own",
        ),
        (
            {"lightgbm": {"data": "model.pkl", "model_class": "lightgbm.sklearn.LGBMClassifier"}},
            {"model.pkl": PICKLE},
            "model.booster_",
        ),
        ({"pytorch": {"model_data": "data"}}, {"data/model.pth": PICKLE}, "export it to ONNX"),
    ],
)
async def test_what_can_run_code_is_kept_flagged_and_told_how_to_be_logged(
    lane: Lane, flavors: dict[str, Any], files: dict[str, bytes], said: str
) -> None:
    made = await register(lane, {"MLmodel": mlmodel(flavors), **files})
    assert made.manifest["safe"] is False
    assert made.manifest["format"] == "mlflow"
    assert said in made.manifest["reason"]
    assert set(files) == set(made.manifest["files"]) - {"MLmodel"}
    flagged = {path for path, content in files.items() if content == PICKLE}
    assert set(made.manifest.get("unsafe", {})) == flagged
    told = read_manifest(made.manifest)
    assert isinstance(told, PackageManifest)
    assert told.told()["loaded"] == "never"
    with pytest.raises(Refused) as refused:
        lane.endpoint.check({"model": made})
    assert str(refused.value).startswith(f"{made.ref} is kept and not loaded. ")
    assert said in str(refused.value)
    with pytest.raises(Refused, match="is kept and not loaded"):
        await lane.endpoint.activate("default", {"model": made}, [])
    with pytest.raises(Refused, match="is kept and not loaded"):
        await lane.loader.load_package(made.ref, told)


async def test_a_safe_flavor_is_chosen_beside_an_unsafe_one(lane: Lane) -> None:
    flavors = {**sklearn_flavors("pickle", "model.pkl"), "onnx": {"data": "model.onnx", "onnx_version": "1.20"}}
    flavors["python_function"]["loader_module"] = "mlflow.onnx"
    await put(lane, {"MLmodel": mlmodel(flavors), "model.pkl": PICKLE, "model.onnx": b"\x08\x08", "w.data": b"1"})
    found = await describe(lane)
    assert (found.format, found.load) == ("onnx", ("model.onnx", "w.data"))
    assert set(found.unsafe) == {"model.pkl"}


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket/models/iris", "does not read"),
        ("/tmp/models/iris", "does not read"),
        ("file:///tmp/models/iris", "does not read"),
        ("dbfs:/databricks/x", "does not read"),
        ("models:/m-unknown", "Nothing is known of"),
        ("runs:/unknown/model", "Nothing is known of"),
        ("dummy", "does not read"),
        ("", "does not read"),
        ("mlflow-artifacts:/1/none", "There is no MLmodel file"),
        ("mlflow-artifacts:/../../etc", "not a place of artifacts"),
        ("mlflow-artifacts:/%2e%2e/etc", "not a place of artifacts"),
    ],
)
async def test_what_lies_elsewhere_is_registered_by_reference_and_said_to_be(lane: Lane, uri: str, said: str) -> None:
    found = await describe(lane, uri)
    assert (found.safe, found.files, found.source) == (False, {}, uri)
    assert said in (found.reason or "")
    ModelKind().validate(msgspec.to_builtins(found))


async def test_runs_and_logged_models_are_followed_to_their_files(lane: Lane) -> None:
    await put(lane, {"MLmodel": mlmodel(xgboost_flavors()), "model.ubj": UBJ})
    uris = NoUris({"r1": "mlflow-artifacts:/1/models"}, {"m-1": URI, "m-2": "models:/m-2"})
    for uri in ("models:/m-1", "runs:/r1/m-1/artifacts"):
        found = await describe(lane, uri, uris)
        assert (found.safe, found.source) == (True, uri)
    assert "does not read" in ((await describe(lane, "models:/m-2", uris)).reason or "")


async def test_a_folder_with_a_broken_mlmodel_file_is_kept_with_the_reason(lane: Lane) -> None:
    await put(lane, {"MLmodel": b"a: [", "model.ubj": UBJ})
    found = await describe(lane)
    assert (found.safe, set(found.files)) == (False, {"MLmodel", "model.ubj"})
    assert "not YAML" in (found.reason or "")


async def test_a_folder_whose_bytes_are_gone_is_kept_with_the_reason(lane: Lane) -> None:
    await put(lane, {"MLmodel": mlmodel(xgboost_flavors()), "model.ubj": UBJ})
    (await lane.blobs.local_path((await lane.artifacts.get(ME, f"{FOLDER}/MLmodel")).digest)).unlink()
    found = await describe(lane)
    assert (found.safe, set(found.files)) == (False, {"MLmodel", "model.ubj"})
    assert found.reason


async def test_a_manifest_cannot_claim_what_it_does_not_hold(lane: Lane) -> None:
    made = await register(lane, {"MLmodel": mlmodel(xgboost_flavors()), "model.ubj": UBJ})
    for changed, said in (
        ({"safe": False}, "says otherwise"),
        ({"format": "pickle"}, "not a format of packages"),
        ({"format": "mlflow", "safe": False}, "needs the reason"),
        ({"format": "mlflow"}, "says otherwise"),
        ({"load": []}, "needs the files"),
        ({"load": ["other"]}, "not among its files"),
        ({"unsafe": {"model.ubj": "pickle"}}, "marked as unsafe"),
        ({"files": {"model.ubj": {"digest": "sha256:1", "size": 1}}}, "not a digest"),
        ({"package": "other"}, "package"),
        ({"inputs": [{"name": 1}]}, "inputs"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await lane.registry.register(ME, "model", "liar", {**made.manifest, **changed})


async def test_models_logged_with_twinloop_are_what_they_were(lane: Lane) -> None:
    made = await trained(lane)
    assert isinstance(read_manifest(made.manifest), ModelManifest)
    assert "package" not in made.manifest
    assert set(made.manifest) == {"format", "files", "task", "label", "inputs"}
