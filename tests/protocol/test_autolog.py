"""``tl.autolog`` with real libraries: they train while no server answers, and everything they logged arrives later.

Each library trains in a process of its own, because MLflow's autologgers change a library for good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.recording import NOBODY
from tests.serving import ServerProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow's client is not installed"),
]

BEGIN = """
import json, warnings, numpy
import twinloop as tl
warnings.simplefilter("ignore")
rows = numpy.array([[float(i % 7), float(i % 3)] for i in range(60)])
labels = (rows[:, 0] > 3).astype(int)
QUIET = {"capture": False, "system_metrics": False}
"""
END = """
print(json.dumps({"run": run.id, "predicted": [float(p) for p in predicted]}))
"""
SKLEARN = """
tl.autolog()
from sklearn.linear_model import LogisticRegression
with tl.run("fit", experiment="autolog sklearn", **QUIET) as run:
    model = LogisticRegression(C=0.5).fit(rows, labels)
    tl.log(own=1.0)
predicted = model.predict(rows[:5])
"""
GRID = """
tl.autolog(log_models=False)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
with tl.run("grid", experiment="autolog grid", **QUIET) as run:
    model = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(rows, labels)
predicted = model.predict(rows[:5])
"""
OWN_RUN = """
tl.autolog(log_models=False)
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit(rows, labels)
run = tl.run("not entered", experiment="autolog own", **QUIET)
LinearRegression().fit(rows, labels)
run.finish()
predicted = []
"""
XGBOOST = """
tl.autolog()
import xgboost
data = xgboost.DMatrix(rows, label=labels)
with tl.run("train", experiment="autolog xgboost", **QUIET) as run:
    facts = {"max_depth": 2, "objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1}
    model = xgboost.train(facts, data, num_boost_round=4, evals=[(data, "train")], verbose_eval=False)
predicted = model.predict(xgboost.DMatrix(rows[:5]))
"""
LIGHTGBM = """
tl.autolog()
import lightgbm
data = lightgbm.Dataset(rows, label=labels)
with tl.run("train", experiment="autolog lightgbm", **QUIET) as run:
    facts = {"max_depth": 2, "objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    model = lightgbm.train(facts, data, num_boost_round=4, valid_sets=[data], valid_names=["train"])
predicted = model.predict(rows[:5])
"""


class Trained:
    """What a program said of its run, and what of it arrived after ``twinloop spool send``."""

    def __init__(self, program: str, client: tl.Client, folder: Path) -> None:
        environ = {
            "TWINLOOP_SPOOL": str(folder / "spool"),
            "TWINLOOP_URL": NOBODY,
            "TWINLOOP_EXIT_WAIT_S": "3",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self.said: dict[str, Any] = json.loads(
            _run([sys.executable, "-c", BEGIN + program + END], environ).splitlines()[-1]
        )
        send = [sys.executable, "-m", "twinloop", "spool", "send", "--url", client.url, "--json"]
        sent = json.loads(_run(send, environ))
        assert sent["rejected"] == []
        assert sent["failed"] is None
        self.id = self.said["run"]
        self.run = client.runs.get(self.id)
        query = {"folder": self.run["experiment"], "deep": "true"}
        found = client.call("GET", "/api/v1/artifact-list", query=query)["artifacts"]
        self.files = [item["path"].removeprefix(f"{self.run['experiment']}/") for item in found]

    @property
    def models(self) -> list[str]:
        """Ids of the logged models whose files arrived."""
        return sorted({path.split("/")[1] for path in self.files if path.startswith("models/")})

    def value(self, metric: str) -> float:
        return float(self.run["metrics"][metric]["value"])


def _run(command: list[str], environ: dict[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environ, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def client(server: ServerProcess) -> Iterator[tl.Client]:
    with tl.connect(server.url) as connected:
        yield connected


def loaded_predictions(url: str, flavor: str, model: str, as_input: str) -> list[float]:
    """What MLflow's own client, pointed at the server, predicts with the model it finds there."""
    program = (
        f"import json, warnings, mlflow, mlflow.{flavor}, numpy\n"
        "warnings.simplefilter('ignore')\n"
        f"mlflow.set_tracking_uri({url!r})\n"
        f"model = mlflow.{flavor}.load_model('models:/{model}')\n"
        "rows = numpy.array([[float(i % 7), float(i % 3)] for i in range(5)])\n"
        f"print(json.dumps([float(p) for p in model.predict({as_input})]))\n"
    )
    return list(json.loads(_run([sys.executable, "-c", program], {}).splitlines()[-1]))


def test_scikit_learn_logs_params_metrics_and_a_model_that_loads(client: tl.Client, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    trained = Trained(SKLEARN, client, tmp_path)
    assert (trained.run["name"], trained.run["status"]) == ("fit", "FINISHED")
    assert trained.run["params"]["C"] == "0.5"
    assert trained.run["tags"]["estimator_name"] == "LogisticRegression"
    assert 0.5 < trained.value("training_accuracy_score") <= 1.0
    assert trained.value("own") == 1.0
    (model,) = trained.models
    assert f"models/{model}/artifacts/MLmodel" in trained.files
    assert loaded_predictions(client.url, "sklearn", model, "rows") == trained.said["predicted"]


def test_a_grid_search_is_a_run_with_a_child_for_each_setting(client: tl.Client, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    trained = Trained(GRID, client, tmp_path)
    children = list(client.runs.search("autolog grid", f"tags.mlflow.parentRunId = '{trained.id}'"))
    assert sorted(child["params"]["C"] for child in children) == ["0.1", "1.0"]
    assert all(child["status"] == "FINISHED" for child in children)
    assert trained.value("best_cv_score") > 0.5


def test_a_fit_outside_of_any_run_makes_one_and_an_open_run_is_taken(client: tl.Client, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    before = {run["id"] for run in client.runs.search("Default")}
    trained = Trained(OWN_RUN, client, tmp_path)
    (made,) = [run for run in client.runs.search("Default") if run["id"] not in before]
    assert made["tags"]["estimator_name"] == "LinearRegression"
    assert made["status"] == "FINISHED"
    assert made["tags"]["environment.python"]
    assert [run["id"] for run in client.runs.search("autolog own")] == [trained.id]
    assert trained.run["tags"]["estimator_name"] == "LinearRegression"


def test_xgboost_logs_each_round_and_a_model_that_loads(client: tl.Client, tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    trained = Trained(XGBOOST, client, tmp_path)
    assert trained.run["params"]["max_depth"] == "2"
    points = client.runs.history(trained.id, "train-logloss")
    assert [point["step"] for point in points] == [0, 1, 2, 3]
    assert points[3]["value"] < points[0]["value"]
    (model,) = trained.models
    found = loaded_predictions(client.url, "xgboost", model, "__import__('xgboost').DMatrix(rows)")
    assert found == pytest.approx(trained.said["predicted"], abs=1e-6)


def test_lightgbm_logs_each_round_and_a_model_that_loads(client: tl.Client, tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    trained = Trained(LIGHTGBM, client, tmp_path)
    assert trained.run["params"]["max_depth"] == "2"
    assert [point["step"] for point in client.runs.history(trained.id, "train-binary_logloss")] == [0, 1, 2, 3]
    (model,) = trained.models
    found = loaded_predictions(client.url, "lightgbm", model, "rows")
    assert found == pytest.approx(trained.said["predicted"], abs=1e-6)


TORCH = """
tl.autolog()
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.01)
other = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.5)
x, y = torch.tensor(rows, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32)[:, None]
with tl.run("loop", experiment="autolog torch", **QUIET) as run:
    for step in range(101):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        expected = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters())).item()
        optimizer.step()
        tl.log(loss=loss.item(), step=step)
        if step < 2:
            other.step()
predicted = [expected]
"""


def test_a_pytorch_loop_logs_its_learning_rate_gradients_and_settings(client: tl.Client, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    trained = Trained(TORCH, client, tmp_path)
    assert trained.run["params"]["optimizer/class"] == "AdamW"
    assert trained.run["params"]["optimizer/weight_decay"] == "0.01"
    assert trained.run["params"]["optimizer_2/class"] == "SGD"
    for metric in ("optimizer/lr", "optimizer/gradient_norm"):
        assert [point["step"] for point in client.runs.history(trained.id, metric)] == [0, 50, 100]
    assert trained.value("optimizer/lr") == pytest.approx(0.1)
    assert trained.value("optimizer/gradient_norm") == pytest.approx(trained.said["predicted"][0], rel=1e-4)
    assert len(client.runs.history(trained.id, "loss")) == 101


def test_without_mlflow_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['mlflow'] = None\n"
        "import twinloop as tl\n"
        "try: tl.autolog()\n"
        "except tl.TwinloopError as error: print(error.message)\n"
    )
    said = _run([sys.executable, "-c", program], {})
    assert said.strip() == "The package mlflow-skinny is not installed. Run: pip install 'twinloop[mlflow]'"


def test_turning_it_on_imports_no_library() -> None:
    program = (
        "import sys, twinloop as tl; tl.autolog(); tl.autolog(every=10)\n"
        "print([name for name in ('sklearn', 'xgboost', 'lightgbm', 'torch') if name in sys.modules])\n"
        "import xgboost, importlib.metadata\n"
        "print(type(xgboost.__spec__.loader).__name__, xgboost.__loader__ is xgboost.__spec__.loader)\n"
    )
    pytest.importorskip("xgboost")
    said = _run([sys.executable, "-W", "error::DeprecationWarning:twinloop", "-c", program], {}).splitlines()
    assert said == ["[]", "SourceFileLoader True"]
