"""A training script as MLflow's users write it: scikit-learn with autologging."""

import json

import mlflow
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV

mlflow.set_experiment("autolog")
mlflow.sklearn.autolog(log_datasets=True)

features, target = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run(run_name="forest"):
    forest = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0).fit(features, target)
    mlflow.log_metric("own", forest.score(features, target))

with mlflow.start_run(run_name="search"):
    GridSearchCV(RandomForestClassifier(random_state=0), {"n_estimators": [2, 3]}, cv=2).fit(features, target)

found = mlflow.search_runs(search_all_experiments=True, order_by=["attributes.run_name", "metrics.mean_test_score"])
print(json.dumps({"runs": len(found), "accuracy": found["metrics.own"].dropna().tolist()}))
