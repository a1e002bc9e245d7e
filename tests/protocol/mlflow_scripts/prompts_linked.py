"""Prompts beside what used them: found by experiment, linked to runs, models and traces, and loaded again from a cache."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import mlflow
from mlflow.exceptions import MlflowException

client, genai = mlflow.MlflowClient(), mlflow.genai
told = []


def settled():
    """Links are made beside the call; wait until none is under way."""
    for thread in threading.enumerate():
        if thread.name.startswith("link_prompt"):
            thread.join()


def linked(tags):
    return sorted(json.loads(tags.get("mlflow.linkedPrompts", "[]")), key=json.dumps)


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        told.append(error.error_code)
    else:
        told.append("allowed")


experiments = [mlflow.set_experiment(name).experiment_id for name in ("prompts linked", "prompts linked too")]
mlflow.set_experiment("prompts linked")
for name in ("linked-a", "linked-b", "linked-ab"):
    genai.register_prompt(name, f"{name}: {{{{x}}}}", tags={"kind": name[-1]})
    settled()
mlflow.set_experiment("prompts linked too")
for _ in range(3):
    genai.load_prompt("linked-b", version=1, cache_ttl_seconds=0)
    settled()
for text in (
    f"experiment_id = '{experiments[0]}'",
    f'experiment_id = "{experiments[1]}"',
    f"experiment_id = '{experiments[0]}' AND name = 'linked-a'",
    f"name LIKE 'linked-a%' AND experiment_id = '{experiments[0]}'",
    f"experiment_id = '{experiments[0]}' AND tags.kind = 'b'",
    "experiment_id = '987654'",
    "name ILIKE 'LINKED-A'",
):
    told.append([prompt.name for prompt in client.search_prompts(filter_string=text)])
told.append([prompt.name for prompt in client.search_prompts(max_results=2)])
refused(client.search_prompts, filter_string="experiment_id = 'x'")
refused(client.search_prompts, filter_string="template = 'x'")

with mlflow.start_run() as run, ThreadPoolExecutor(4) as pool:
    for done in [pool.submit(genai.load_prompt, "linked-a", version=1) for _ in range(8)]:
        done.result()
    genai.load_prompt("linked-b", version=1)
settled()
told.append(linked(client.get_run(run.info.run_id).data.tags))

model = client.create_logged_model(experiments[0], name="user")
genai.load_prompt("linked-ab", version=1, model_id=model.model_id)
settled()
told.append(linked(client.get_logged_model(model.model_id).tags))

with mlflow.start_span("asks") as span:
    genai.load_prompt("linked-a", version=1)
    genai.load_prompt("linked-b", version=1)
    genai.load_prompt("linked-a", version=1)
mlflow.flush_trace_async_logging()
settled()
told.append(span.attributes.get("mlflow.linkedPrompts"))
client.link_prompt_versions_to_trace([genai.load_prompt("linked-a", version=1)], span.trace_id)
told.append(linked(client.get_trace(span.trace_id).info.tags))

first = genai.load_prompt("prompts:/linked-a@latest")
genai.register_prompt("linked-a", [{"role": "user", "content": "{{x.y}} and {{z}}"}], commit_message="now a chat")
settled()
newest = genai.load_prompt("prompts:/linked-a@latest")
told.append([first.version, newest.version, newest.template, sorted(newest.variables), newest.is_text_prompt])
genai.set_prompt_alias("linked-a", "live", 1)
told.append(list(genai.load_prompt("prompts:/linked-a@live").aliases))
genai.set_prompt_alias("linked-a", "live", 2)
told.append(genai.load_prompt("prompts:/linked-a@live").version)
genai.delete_prompt_alias("linked-a", "live")
told.append(genai.register_prompt("linked-empty", []).template)
settled()
told.append([genai.load_prompt("nobody", version=1, allow_missing=True), genai.load_prompt("linked-a").version])
genai.set_prompt_version_tag("linked-a", 1, "env", "prod")
genai.delete_prompt_version_tag("linked-a", 1, "kind")
told.append(client.get_prompt_version("linked-a", 1).tags)
for prompt_version in client.search_prompt_versions("linked-a"):
    told.append([prompt_version.version, prompt_version.commit_message])
refused(client.search_prompt_versions, "nobody")
refused(genai.register_prompt, "linked-a", "x" * 100_001)
refused(genai.register_prompt, "linked-long", "x" * 100_001)
refused(client.get_registered_model, "linked-long")
refused(client.delete_prompt_version, "linked-a", "9")
client.delete_prompt_version("linked-empty", "1")
client.delete_prompt("linked-empty")
refused(client.get_registered_model, "linked-empty")
print(json.dumps(told))
