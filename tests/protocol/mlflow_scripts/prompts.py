"""Prompts: registered twice, loaded by number, alias and URI, formatted, tagged, searched and deleted."""

import json

import mlflow
from mlflow.exceptions import MlflowException

told = []
first = mlflow.genai.register_prompt(
    name="greeting", template="Hello {{name}}, {{question}}", commit_message="first", tags={"lang": "en"}
)
second = mlflow.genai.register_prompt(
    name="greeting",
    template=[{"role": "system", "content": "Be kind to {{name}}."}, {"role": "user", "content": "{{question}}"}],
    commit_message="as a chat",
    response_format={"type": "object", "properties": {"text": {"type": "string"}}},
)
told.append([first.version, second.version, first.template, second.template])
mlflow.genai.set_prompt_alias("greeting", alias="production", version=1)
for loaded in (
    mlflow.genai.load_prompt("greeting", version=2),
    mlflow.genai.load_prompt("prompts:/greeting@production"),
    mlflow.genai.load_prompt("prompts:/greeting/1"),
):
    told.append([loaded.name, loaded.version, loaded.commit_message, loaded.tags, sorted(loaded.variables)])
told.append(mlflow.genai.load_prompt("prompts:/greeting@production").format(name="Ann", question="how?"))
mlflow.genai.set_prompt_version_tag("greeting", 1, "checked", "yes")
mlflow.genai.set_prompt_tag("greeting", "owner", "ann")
told.append(mlflow.genai.load_prompt("greeting", version=1).tags)
told.append([[prompt.name, prompt.tags] for prompt in mlflow.genai.search_prompts()])
mlflow.genai.delete_prompt_alias("greeting", alias="production")
try:
    mlflow.genai.load_prompt("prompts:/greeting@production")
except MlflowException as error:
    told.append(error.error_code)
told.append(mlflow.genai.load_prompt("nobody", allow_missing=True))
told.append([model.name for model in mlflow.MlflowClient().search_registered_models()])
print(json.dumps(told))
