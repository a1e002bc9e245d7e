"""MLflow's registered models, versions, aliases and prompts: over plain HTTP, with its client, and beside its own server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests import peer
from tests.protocol.registry_calls import CALLS, Made
from tests.serving import ServerProcess
from twinloop import connect
from twinloop.core.errors import Conflict, Refused
from twinloop.sdk.client import Client

mlflow = pytest.importorskip("mlflow", reason="MLflow's client is not installed")

from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

Answer = tuple[int, Any]


def call(url: str, made: Made) -> Answer:
    target = f"{url}/api/2.0/mlflow/{made.path}" + (f"?{urlencode(made.query, doseq=True)}" if made.query else "")
    body = None if made.body is None else json.dumps(made.body).encode()
    request = urllib.request.Request(target, body, {"content-type": "application/json"}, method=made.method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def post(url: str, path: str, **body: Any) -> Any:
    status, answer = call(url, Made("POST", path, body))
    assert status == 200, answer
    return answer


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose registry nobody else fills."""
    with ServerProcess(tmp_path_factory.mktemp("registry") / "home") as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> MlflowClient:
    return MlflowClient(server.url)


@pytest.fixture
def native(server: ServerProcess) -> Iterator[Client]:
    with connect(server.url) as opened:
        yield opened


def test_of_twenty_writers_who_want_the_same_number_one_gets_it(server: ServerProcess) -> None:
    def write(text: int) -> int:
        manifest = {"format": "text", "template": str(text)}
        body = {"kind": "prompt", "name": "raced", "manifest": manifest, "number": 1}
        request = urllib.request.Request(
            f"{server.url}/api/v1/revisions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(write, range(20)))
    assert statuses == [200, *[409] * 19]


def test_a_number_that_is_not_the_next_one_is_a_conflict(native: Client) -> None:
    manifest = {"format": "text", "template": "x"}
    assert native.revisions.register("prompt", "counted", manifest, number=1)["number"] == 1
    with pytest.raises(Conflict, match="next number is 2"):
        native.revisions.register("prompt", "counted", {**manifest, "template": "y"}, number=3)


def test_versions_created_at_once_have_all_numbers_once(server: ServerProcess) -> None:
    post(server.url, "registered-models/create", name="crowd")

    def create(_: int) -> int:
        made = post(server.url, "model-versions/create", name="crowd", source="s3://bucket/same")
        return int(made["model_version"]["version"])

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(create, range(40))) == list(range(1, 41))


@pytest.mark.filterwarnings("ignore:.*stage.*deprecated:FutureWarning")
def test_a_model_is_made_described_found_and_deleted(client: MlflowClient) -> None:
    made = client.create_registered_model("Flow ☃", {"team": "x", "n": 1}, "about")
    assert (made.name, made.tags, made.description) == ("Flow ☃", {"team": "x", "n": "1"}, "about")
    client.create_model_version("Flow ☃", "runs:/r1/model", "r1", tags={"k": "v"}, description="first")
    client.create_model_version("Flow ☃", "runs:/r1/model", "r1")
    client.transition_model_version_stage("Flow ☃", "1", "Production")
    client.set_registered_model_alias("Flow ☃", "best", "1")
    version = client.get_model_version_by_alias("Flow ☃", "best")
    assert (version.version, version.current_stage, version.aliases, version.tags) == (
        "1",
        "Production",
        ["best"],
        {"k": "v"},
    )
    found = client.search_model_versions("run_id = 'r1' AND name = 'Flow ☃'", order_by=["version_number ASC"])
    assert [one.version for one in found] == ["1", "2"]
    copied = client.copy_model_version("models:/Flow ☃@best", "Flow copy")
    assert (copied.source, client.get_model_version_download_uri("Flow copy", "1")) == (
        "models:/Flow ☃/1",
        "runs:/r1/model",
    )
    client.rename_registered_model("Flow ☃", "Flow renamed")
    assert client.get_model_version("Flow renamed", "2").name == "Flow renamed"
    client.delete_registered_model("Flow renamed")
    with pytest.raises(MlflowException, match="Registered Model with name=Flow renamed not found"):
        client.get_registered_model("Flow renamed")
    client.create_registered_model("Flow renamed")
    assert client.create_model_version("Flow renamed", "s3://b/x").version == "1"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda c: c.create_registered_model("models/slash"), r"Invalid model name"),
        (lambda c: c.get_registered_model("none"), r"Registered Model with name=none not found"),
        (lambda c: c.get_model_version("none", "1"), r"Model Version \(name=none, version=1\) not found"),
        (lambda c: c.create_model_version("none", "s3://b/x"), r"Registered Model with name=none not found"),
        (lambda c: c.search_registered_models("run_id = 'x'"), r"Invalid attribute key 'run_id' specified"),
        (lambda c: c.search_registered_models("evilhax = true"), r"Invalid clause\(s\) in filter string"),
        (lambda c: c.search_model_versions("run_id IN ()"), r"expected a non-empty list of string values"),
        (lambda c: c.search_registered_models(order_by=["name blah"]), r"Invalid order_by clause 'name blah'"),
    ],
)
def test_errors_are_in_the_words_that_clients_match_on(client: MlflowClient, act: Any, words: str) -> None:
    with pytest.raises(MlflowException, match=words):
        act(client)


def test_a_prompt_is_registered_loaded_aliased_and_deleted(server: ServerProcess, tmp_path: Path) -> None:
    if not peer.HERE:
        pytest.skip(peer.WHY_NOT)
    script = tmp_path / "prompts.py"
    script.write_text(PROMPTS)
    found = peer.run_script(script, server.url, tmp_path / "run")
    assert found == {
        "versions": [[1, "Hello {{name}}"], [2, "Hi {{name}}"]],
        "latest": 2,
        "alias": [1, "Hello Ada", "first"],
        "chat": [{"role": "user", "content": "Say {{x}}"}],
        "found": ["script chat", "script-greet"],
        "tags": {"q": "good", "team": "x"},
        "version tags": "good",
        "refused": "RESOURCE_ALREADY_EXISTS",
        "missing": None,
        "left": [2],
        "gone": "RESOURCE_DOES_NOT_EXIST",
    }


PROMPTS = """
import json
import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client, genai, said = MlflowClient(), mlflow.genai, {}
genai.register_prompt("script-greet", "Hello {{name}}", commit_message="first", tags={"q": "good"})
genai.register_prompt("script-greet", "Hi {{name}}")
said["versions"] = [[n, genai.load_prompt("script-greet", version=n).template] for n in (1, 2)]
said["latest"] = genai.load_prompt("prompts:/script-greet@latest").version
genai.set_prompt_alias("script-greet", "live", 1)
live = genai.load_prompt("prompts:/script-greet@live")
said["alias"] = [live.version, live.format(name="Ada"), live.commit_message]
genai.register_prompt("script chat".replace(" ", "-"), [{"role": "user", "content": "Say {{x}}"}])
said["chat"] = genai.load_prompt("script-chat", version=1).template
said["found"] = sorted(p.name.replace("-chat", " chat") for p in genai.search_prompts("name LIKE 'script%'"))
genai.set_prompt_tag("script-greet", "team", "x")
said["tags"] = {k: v for k, v in genai.get_prompt_tags("script-greet").items() if not k.startswith("_")}
said["version tags"] = client.get_prompt_version("script-greet", 1).tags["q"]
try:
    client.create_registered_model("script-greet")
except MlflowException as error:
    said["refused"] = error.error_code
said["missing"] = genai.load_prompt("prompts:/script-none/1", allow_missing=True)
genai.delete_prompt_alias("script-greet", "live")
client.delete_prompt_version("script-greet", "1")
said["left"] = [p.version for p in client.search_prompt_versions("script-greet")]
client.delete_prompt_version("script-greet", "2")
client.delete_prompt("script-greet")
try:
    client.search_prompt_versions("script-greet")
except MlflowException as error:
    said["gone"] = error.error_code
print(json.dumps(said))
"""


def test_a_prompt_registered_without_mlflow_is_a_prompt_to_its_client(native: Client, client: MlflowClient) -> None:
    native.prompts.register("native-prompt", "Be brief.", "{context} {question}")
    prompt = client.get_prompt_version("native-prompt", 1)
    assert prompt is not None
    assert prompt.template == "{context} {question}"
    prompts = client.search_registered_models("tags.`mlflow.prompt.is_prompt` = 'true' AND name = 'native-prompt'")
    assert [one.name for one in prompts] == ["native-prompt"]
    assert client.search_registered_models("name = 'native-prompt'") == []


def test_a_model_registered_over_mlflow_is_one_natively(native: Client, client: MlflowClient) -> None:
    client.create_registered_model("Shown Twice")
    client.create_model_version("Shown Twice", "s3://b/x", tags={"k": "v"})
    (card,) = native.registry.cards("model", "name = 'Shown Twice'")
    assert card["ref"].startswith("model/Shown-Twice-")
    note = native.registry.annotate(f"{card['ref']}@1", description="seen", tags={"k": None, "l": "w"}, stage="Staging")
    assert note["revision"]["manifest"]["source"] == "s3://b/x"
    version = client.get_model_version("Shown Twice", "1")
    assert (version.description, version.tags, version.current_stage) == ("seen", {"l": "w"}, "Staging")
    native.registry.change(card["ref"], title="Shown Once")
    assert client.get_registered_model("Shown Once").name == "Shown Once"


def test_two_people_approve_and_the_history_tells_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as running:
        with connect(running.url) as nobody:
            made = {
                name: nobody.call("POST", "/api/v1/keys", {"name": name, "role": role})["secret"]
                for name, role in [("admin", "admin")]
            }
        with connect(running.url, key=made["admin"]) as admin:
            for name, role in [("mia", "developer"), ("sam", "releaser")]:
                made[name] = admin.call("POST", "/api/v1/keys", {"name": name, "role": role})["secret"]
        with connect(running.url, key=made["mia"]) as mia, connect(running.url, key=made["sam"]) as sam:
            mia.models.log("churn", 0.5, label="left")
            sam.registry.change("model/churn", approvals=1)
            with pytest.raises(Refused, match=r"0 of the 1 approvals.*other than mia"):
                sam.endpoints.release("churn", "predict", {"model": "model/churn@1"})
            sam.registry.reject("model/churn@1", "no signature")
            with pytest.raises(Refused, match="rejected by sam"):
                mia.revisions.alias("model", "churn", "champion", 1)
            assert sam.registry.approve("model/churn@1", "checked")["approved"]
            sam.endpoints.release("churn", "predict", {"model": "model/churn@1"}, reason="first")
            with pytest.raises(Refused, match=r"pinned by churn \(live churn@1\)"):
                mia.registry.delete("model/churn")
            entries = list(sam.registry.history("model/churn@1"))
        told = [(entry["action"], entry["by"]) for entry in entries]
        assert told == [
            ("release", "sam"),
            ("revision.approved", "sam"),
            ("revision.rejected", "sam"),
            ("revision.registered", "mia"),
        ]
        period = entries[0]["period"]
        assert (period["endpoint"], period["until"], period["reason"]) == ("churn", None, "first")


def _filled(value: Any, run: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, meaning in run.items():
        text = text.replace(name, meaning)
    return json.loads(text)


def _plain(value: Any, run: dict[str, str]) -> Any:
    """An answer without what differs from server to server, and without the order that means nothing."""
    text = json.dumps(value)
    for name, meaning in reversed(run.items()):
        text = text.replace(meaning, name)
    return _sorted(json.loads(text))


_TIMES = ("creation_timestamp", "last_updated_timestamp", "next_page_token")


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        found: dict[str, Any] = {key: "?" if key in _TIMES else _sorted(item) for key, item in value.items()}
        for key in ("tags", "latest_versions"):
            if key in found:
                found[key] = sorted(found[key], key=json.dumps)
        for version in found.get("latest_versions", ()):
            version.pop("aliases", None)  # MLflow leaves them out here, and only here
        return found
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _run_of(url: str) -> dict[str, str]:
    experiment = post(url, "experiments/create", name="side by side")["experiment_id"]
    info = post(url, "runs/create", experiment_id=experiment)["run"]["info"]
    return {"RUNROOT": info["artifact_uri"], "RUNID": info["run_id"]}


def _said(url: str, made: Made, run: dict[str, str]) -> tuple[int, Any, str]:
    status, answer = call(url, Made(made.method, made.path, _filled(made.body, run), _filled(made.query, run)))
    if status == 200:
        return status, _plain(answer, run), ""
    return status, answer["error_code"], _plain(answer, run)["message"]


@pytest.mark.slow
@pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT)
def test_the_registry_answers_as_mlflows_own_server_does(fresh: ServerProcess, tmp_path: Path) -> None:
    with peer.MlflowServer(tmp_path / "mlflow") as real:
        runs = {url: _run_of(url) for url in (real.url, fresh.url)}
        for number, made in enumerate(CALLS):
            theirs, ours = (_said(url, made, runs[url]) for url in (real.url, fresh.url))
            assert ours[:2] == theirs[:2], f"call {number}: {made}"
            assert ours[2][:24] == theirs[2][:24], f"call {number}: {made}"
