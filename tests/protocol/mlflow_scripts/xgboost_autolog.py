"""XGBoost with autologging: metrics at every boosting round, importances, the model."""

import json

import mlflow
import numpy as np
import xgboost

mlflow.set_experiment("boosting")
mlflow.xgboost.autolog()

random = np.random.default_rng(0)
features = random.normal(size=(200, 4))
target = (features[:, 0] + 0.1 * random.normal(size=200) > 0).astype(int)
train = xgboost.DMatrix(features, target, feature_names=["a", "b", "c", "d"])

with mlflow.start_run(run_name="boost") as run:
    xgboost.train(
        {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "seed": 0, "nthread": 1},
        train,
        num_boost_round=8,
        evals=[(train, "train")],
        verbose_eval=False,
    )

history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train-logloss")
print(json.dumps({"points": [[point.step, round(point.value, 6)] for point in history]}))
