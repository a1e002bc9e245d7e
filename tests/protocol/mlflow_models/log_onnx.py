"""An ONNX graph is logged as MLflow logs it by default, with its tensors in a file beside it."""

import json
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import mlflow.onnx  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

weights = np.random.default_rng(0).normal(size=(4, 400)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["rows", "weights"], ["scores"])],
    "linear",
    [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 4])],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 400])],
    [numpy_helper.from_array(weights, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
rows = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)

mlflow.set_experiment("graphs")
with mlflow.start_run():
    mlflow.onnx.log_model(
        onnx.load_from_string(model.SerializeToString()),
        name="graph",
        signature=infer_signature(rows, rows @ weights),
        registered_model_name="graph",
        pip_requirements=["onnx"],
    )
loaded = mlflow.pyfunc.load_model("models:/graph/1")
scores = loaded.predict(rows)["scores"]
folder = Path(mlflow.artifacts.download_artifacts("models:/graph/1"))
files = [path.name for path in folder.iterdir() if path.suffix in (".onnx", ".data")]
print(json.dumps({"rows": rows.tolist(), "scores": np.asarray(scores).tolist(), "files": files}))
