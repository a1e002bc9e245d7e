"""Models that the real client logged and registered, released and asked here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twinloop as tl
from tests import peer
from tests.serving import ServerProcess
from twinloop.core.errors import InvalidInput, Refused
from twinloop.sdk.client import Client

pytestmark = [pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT), pytest.mark.slow]

SCRIPT = Path(__file__).parent / "mlflow_models" / "log_models.py"
NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ServerProcess(tmp_path_factory.mktemp("models") / "home") as running:
        yield running.url


@pytest.fixture(scope="module")
def told(url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return peer.run_script(SCRIPT, url, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def client(url: str, told: Any) -> Any:
    with tl.connect(url) as connected:
        yield connected


def release(client: Client, name: str, ref: str | None = None) -> None:
    client.endpoints.release(name, type="predict", pins={"model": ref or f"model/{name}@1"})


def predict(client: Client, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.endpoints.predict(name, rows)["outputs"]
    return found


def test_a_classifier_answers_at_its_endpoint_what_its_client_was_answered(client: Client, told: Any) -> None:
    release(client, "classifier", "model/classifier@champion")
    found = predict(client, "classifier", told["rows"])
    assert [row["prediction"] for row in found] == told["answers"]["classifier"]
    np.testing.assert_allclose([row["probabilities"] for row in found], told["chances"], rtol=1e-6)


def test_a_copy_of_a_version_is_served_like_the_version(client: Client, told: Any) -> None:
    release(client, "promoted")
    found = predict(client, "promoted", told["rows"])
    assert [row["prediction"] for row in found] == told["answers"]["classifier"]
    original, copy = (client.revisions.get(f"model/{name}@1")["manifest"] for name in ("classifier", "promoted"))
    assert (copy["files"], copy["load"]) == (original["files"], original["load"])


def test_open_inference_describes_and_asks_it(client: Client, told: Any) -> None:
    triton = pytest.importorskip("tritonclient.http")
    release(client, "booster")
    rows = np.array([[row[name] for name in NAMES] for row in told["rows"]])
    with triton.InferenceServerClient(client.url.removeprefix("http://")) as asking:
        described = asking.get_model_metadata("booster")
        assert described["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
        assert described["outputs"] == [{"name": "prediction", "datatype": "FP32", "shape": [-1, 3]}]
        for binary in (True, False):
            given = triton.InferInput("input", list(rows.shape), "FP64")
            given.set_data_from_numpy(rows, binary_data=binary)
            answer = asking.infer("booster", [given]).as_numpy("prediction")
            np.testing.assert_array_equal(answer, np.array(told["answers"]["booster"], np.float32))


def test_an_onnx_graph_with_its_tensors_beside_it(client: Client, url: str, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, str(SCRIPT.parent / "log_onnx.py")],
        env=peer.environment(MLFLOW_TRACKING_URI=url),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(told["files"]) == 2
    release(client, "graph")
    found = [row["prediction"] for row in predict(client, "graph", [{"input": row} for row in told["rows"]])]
    np.testing.assert_allclose(found, told["scores"], rtol=1e-6)


def test_a_regressor_without_a_signature_is_asked_by_what_it_says_itself(client: Client, told: Any) -> None:
    release(client, "regressor")
    rows = [{"input": [row[name] for name in NAMES]} for row in told["rows"]]
    found = [row["prediction"] for row in predict(client, "regressor", rows)]
    np.testing.assert_array_equal(np.array(found, np.float32), np.array(told["answers"]["regressor"], np.float32))


@pytest.mark.skipif(
    importlib.util.find_spec("skops") is None, reason="skops is not installed: pip install 'twinloop[sklearn]'"
)
def test_a_scikit_learn_pipeline_as_the_client_logs_it_by_default(client: Client, told: Any) -> None:
    release(client, "pipeline")
    found = predict(client, "pipeline", told["rows"])
    assert [row["prediction"] for row in found] == told["answers"]["pipeline"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("pickled", "serialization_format='skops'"), ("function", "Python function")],
)
def test_a_model_that_runs_code_is_stored_flagged_and_not_released(
    client: Client, told: Any, name: str, said: str
) -> None:
    assert told["answers"][name]  # its own client got it back whole and loaded it
    revision = client.revisions.get(f"model/{name}@1")
    assert revision["manifest"]["safe"] is False
    assert any(path.endswith(".pkl") for path in revision["manifest"]["unsafe"])
    with pytest.raises(Refused, match=said):
        release(client, name)
    assert name not in {found["name"] for found in client.endpoints.list()}
    nodes = {node["name"]: node for node in client.lineage.why(f"model/{name}@1")["nodes"]}
    assert nodes[name]["detail"]["loaded"] == "never"
    assert ".pkl" in nodes[name]["detail"]["unsafe"]


def test_a_signature_that_is_not_the_models_refuses_the_release(client: Client) -> None:
    with pytest.raises(Refused, match=r"signature declares .*string"):
        release(client, "misdeclared")


def test_what_does_not_fit_the_signature_is_refused_by_column_and_row(client: Client, told: Any) -> None:
    release(client, "classifier")
    good = told["rows"][0]
    for change, said in (
        (
            {NAMES[1]: "wide"},
            r"Input 'sepal width \(cm\)', row 1, must be a finite number or null \(float64\) and is str",
        ),
        ({NAMES[1]: [1.0]}, "row 1, must be a finite number"),
        ({"colour": "red"}, "There is no input 'colour'"),
    ):
        with pytest.raises(InvalidInput, match=said):
            predict(client, "classifier", [good, {**good, **change}])
    with pytest.raises(InvalidInput, match=r"Input 'petal width \(cm\)' is missing"):
        predict(client, "classifier", [{name: good[name] for name in NAMES[:3]}])


def test_why_leads_from_an_answer_to_the_run_that_logged_the_model(client: Client, told: Any) -> None:
    release(client, "classifier")
    trace = client.endpoints.predict("classifier", told["rows"][:1])["trace"]
    kinds = [node["kind"] for node in client.lineage.why(trace)["nodes"]]
    assert {"trace", "release", "model", "run"} <= set(kinds)


def test_many_callers_at_once_each_get_their_own_answers(client: Client, told: Any) -> None:
    release(client, "classifier")
    expected = told["answers"]["classifier"]

    def one(place: int) -> tuple[int, int]:
        with tl.connect(client.url) as own:
            row = told["rows"][place % len(expected)]
            return int(predict(own, "classifier", [row])[0]["prediction"]), expected[place % len(expected)]

    with ThreadPoolExecutor(16) as callers:
        for got, wanted in callers.map(one, range(160)):
            assert got == wanted
