"""Prompts are registered as text and as messages, moved by an alias, and formatted; what they say is told."""

import json

import mlflow

greeting = mlflow.genai.register_prompt(
    name="greeting", template="Hello {{name}} of {{ place }}!", commit_message="first", tags={"tone": "warm"}
)
mlflow.genai.register_prompt(name="greeting", template="Good day {{name}}. {% if x %}")
mlflow.genai.set_prompt_alias("greeting", alias="champion", version=1)
support = mlflow.genai.register_prompt(
    name="support",
    template=[
        {"role": "system", "content": "Answer in {{language}}."},
        {"role": "user", "content": "{{question}}"},
    ],
    response_format={"type": "object", "properties": {"answer": {"type": "string"}}},
    model_config={"model_name": "any", "temperature": 0.2},
)
mlflow.genai.register_prompt(
    name="asking",
    template=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Asked: {{question}}"},
    ],
)
loaded = mlflow.genai.load_prompt("prompts:/greeting@champion")
print(
    json.dumps(
        {
            "text": loaded.format(name="Ann", place="Oslo"),
            "messages": support.format(language="French", question="why?"),
            "variables": sorted(loaded.variables),
        }
    )
)
