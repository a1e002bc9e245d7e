"""Models are logged and registered in every form; what each answers when its client loads it again is told."""

import json

import mlflow
import numpy as np
import xgboost
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlflow.set_experiment("models")
frame, target = load_iris(return_X_y=True, as_frame=True)
matrix = frame.to_numpy()
asked = frame.iloc[::10]


class Doubling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input * 2


classifier = xgboost.XGBClassifier(n_estimators=6).fit(frame, target)
booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(matrix, target), 6)
regressor = xgboost.XGBRegressor(n_estimators=6).fit(matrix, matrix[:, 0] * 2)
pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)

quick = {"pip_requirements": ["mlflow"]}  # found by starting another Python otherwise
table = infer_signature(frame, classifier.predict(frame))
probabilities = infer_signature(matrix, booster.predict(xgboost.DMatrix(matrix)))
wrong = infer_signature(frame, np.array(["setosa", "virginica"]))

with mlflow.start_run():
    mlflow.xgboost.log_model(classifier, name="a", input_example=frame.head(3), registered_model_name="classifier")
    mlflow.xgboost.log_model(booster, name="b", signature=probabilities, registered_model_name="booster", **quick)
    mlflow.xgboost.log_model(regressor, name="c", model_format="json", registered_model_name="regressor", **quick)
    mlflow.sklearn.log_model(pipeline, name="d", signature=table, registered_model_name="pipeline", **quick)
    mlflow.sklearn.log_model(
        pipeline, name="e", serialization_format="cloudpickle", registered_model_name="pickled", **quick
    )
    mlflow.pyfunc.log_model(name="f", python_model=Doubling(), registered_model_name="function", **quick)
    mlflow.xgboost.log_model(classifier, name="g", signature=wrong, registered_model_name="misdeclared", **quick)

client = mlflow.MlflowClient()
client.set_registered_model_alias("classifier", "champion", 1)
client.copy_model_version("models:/classifier/1", "promoted")

answers = {}
for name in ("classifier", "booster", "regressor", "pipeline", "pickled", "function", "misdeclared"):
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    given = asked if name not in ("booster", "regressor") else asked.to_numpy()
    answers[name] = np.asarray(loaded.predict(given)).tolist()
chances = mlflow.xgboost.load_model("models:/classifier@champion").predict_proba(asked).tolist()
print(json.dumps({"rows": asked.to_dict("records"), "answers": answers, "chances": chances}))
