"""The registry as scripts that deploy use it: versions, aliases, stages, searches and deletions, with the errors between."""

import json

import mlflow
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
told = []


def tell(what, *values):
    told.append([what, *values])


def refused(what, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        tell(what, error.error_code)
    else:
        tell(what, "allowed")


client.create_registered_model("churn", tags={"team": "blue"}, description="who leaves")
refused("twice", client.create_registered_model, "churn")
refused("unknown", client.get_registered_model, "nobody")
refused("bad alias", client.set_registered_model_alias, "churn", "v1", "1")
refused("no version", client.set_registered_model_alias, "churn", "champion", "7")

with mlflow.start_run() as run:
    mlflow.log_text("weights", "model/weights.txt")
source = f"{run.info.artifact_uri}/model"
for number in range(3):
    made = client.create_model_version("churn", source, run.info.run_id, tags={"n": str(number)})
    tell("made", made.version, made.current_stage, made.status)
client.set_registered_model_alias("churn", "champion", "2")
client.set_registered_model_alias("churn", "challenger", "3")
client.set_registered_model_alias("churn", "champion", "3")
client.delete_registered_model_alias("churn", "challenger")
client.transition_model_version_stage("churn", "2", "Production")
client.transition_model_version_stage("churn", "3", "Production", archive_existing_versions=True)
refused("bad stage", client.transition_model_version_stage, "churn", "3", "Nowhere")
client.delete_model_version("churn", "1")
refused("deleted", client.get_model_version, "churn", "1")
client.rename_registered_model("churn", "leaving")
refused("old name", client.get_registered_model, "churn")

model = client.get_registered_model("leaving")
tell("model", model.name, model.description, model.tags, model.aliases)
tell("latest", [[one.version, one.current_stage] for one in model.latest_versions])
for query in ("name = 'leaving'", "name LIKE 'leav%'", "tags.team = 'blue'", "name ILIKE 'LEAV%'", "name = 'churn'"):
    tell(query, [one.name for one in client.search_registered_models(query)])
for query in ("name = 'leaving'", f"run_id = '{run.info.run_id}'", "tags.n = '2'", "tags.n = '0'"):
    tell(query[:8], [one.version for one in client.search_model_versions(query, order_by=["version_number ASC"])])
refused("bad filter", client.search_model_versions, "colour = 'red'")
refused("bad name", client.create_registered_model, "a/b")
again = client.create_registered_model("churn")
tell("again", again.name, client.create_model_version("churn", source, run.info.run_id).version)
client.delete_registered_model("churn")
refused("gone", client.get_registered_model, "churn")
print(json.dumps(told))
