"""A model is logged with its signature and example, loaded again by each of its URIs, and asked."""

import json

import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment("models")
random = np.random.default_rng(0)
features = random.normal(size=(60, 3))
target = (features[:, 0] > 0).astype(int)
fitted = LogisticRegression().fit(features, target)

with mlflow.start_run(run_name="log") as run:
    logged = mlflow.sklearn.log_model(
        fitted,
        name="classifier",
        signature=infer_signature(features, fitted.predict(features)),
        input_example=features[:2],
        registered_model_name="iris",
        params={"penalty": "l2"},
        tags={"team": "blue"},
    )
    mlflow.log_text("hello", "notes/a.txt")
    mlflow.log_dict({"b": 1}, "notes/b.json")

client = mlflow.MlflowClient()
client.set_registered_model_alias("iris", "champion", 1)
client.set_registered_model_tag("iris", "stage", "trial")
client.set_model_version_tag("iris", "1", "checked", "yes")
client.update_model_version("iris", "1", description="first")

answers = {}
for uri in (logged.model_uri, "models:/iris/1", "models:/iris@champion", "models:/iris/latest"):
    loaded = mlflow.pyfunc.load_model(uri)
    answers[uri.split("/")[-1][:4]] = loaded.predict(features[:5]).tolist()
version = client.get_model_version_by_alias("iris", "champion")
model = mlflow.get_logged_model(logged.model_id)
found = mlflow.search_logged_models(output_format="list")
print(
    json.dumps(
        {
            "answers": sorted(answers.values()),
            "version": [
                version.name,
                version.version,
                version.description,
                version.tags,
                list(version.aliases),
                version.status,
            ],
            "model": [model.name, str(model.status), model.params, model.tags.get("team")],
            "found": [one.name for one in found],
            "text": mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/a.txt"),
            "dict": mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/notes/b.json"),
        }
    )
)
