"""Judges that ask a model: called alone, in an evaluation, and registered for others to use."""

import json

import mlflow
from mlflow.genai.judges import make_judge
from mlflow.genai.scorers import (
    Guidelines,
    ScorerSamplingConfig,
    delete_scorer,
    get_all_scorers,
    get_scorer,
    list_scorers,
)
from mlflow.genai.scorers.registry import list_scorer_versions

mlflow.set_experiment("judges")
MODEL = "openai:/judge-small"
told = {}

tone = make_judge(
    name="tone",
    instructions="Is the answer {{ outputs }} to {{ inputs }} polite? yes or no.",
    model=MODEL,
    feedback_value_type=str,
)
alone = tone(inputs={"question": "hello"}, outputs="good day to you")
told["alone"] = [alone.name, alone.value, alone.rationale, alone.source.source_type, alone.source.source_id]

rows = [
    {"inputs": {"question": "hello"}, "outputs": "good day to you"},
    {"inputs": {"question": "bye"}, "outputs": "go away"},
]
short = Guidelines(name="short", guidelines="The answer must be short.", model=MODEL)
result = mlflow.genai.evaluate(data=rows, scorers=[tone, short])
told["metrics"] = {key: round(value, 6) for key, value in sorted(result.metrics.items())}

first = tone.register()
second = make_judge(
    name="tone", instructions="Is {{ outputs }} kind? yes or no.", model=MODEL, feedback_value_type=str
).register()
short.register(name="brief")
told["registered"] = [first.name, second.name, sorted(one.name for one in list_scorers())]
told["versions"] = [[version, kept.instructions] for kept, version in list_scorer_versions(name="tone")]
told["old"] = get_scorer(name="tone", version=1).instructions
again = get_scorer(name="tone")(inputs={"question": "hello"}, outputs="go away")
told["again"] = [again.value, again.rationale]
told["in all"] = {"tone", "brief"} <= {one.name for one in get_all_scorers()} or len(list(get_all_scorers())) > 0


def refusal(verb, *arguments, **named):
    try:
        verb(*arguments, **named)
    except mlflow.MlflowException as error:
        return error.error_code
    return "none"


told["refusals"] = {
    "unknown": refusal(get_scorer, name="nobody"),
    "version": refusal(get_scorer, name="tone", version=9),
    "automatic": refusal(get_scorer(name="tone").start, sampling_config=ScorerSamplingConfig(sample_rate=0.5)),
}
delete_scorer(name="tone", version=1)
told["left"] = [version for _, version in list_scorer_versions(name="tone")]
delete_scorer(name="tone", version="all")
told["names"] = sorted(one.name for one in list_scorers())
print(json.dumps(told))
