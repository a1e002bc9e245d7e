"""Webhooks through a real server: Twinloop's own interface, its command line, and MLflow's client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.receiving import Received, Receiver
from tests.serving import ServerProcess
from twinloop.core.errors import Forbidden, InvalidInput, NotFound
from twinloop.sdk.client import Client
from twinloop.server.connect import connect

MLFLOW = """
import json
import sys
import time
import urllib.request
import mlflow
from mlflow.entities.webhook import WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
names = [
    "registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
    "model_version_alias.created", "model_version_alias.deleted", "prompt.created", "prompt_version.created",
    "prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set", "prompt_version_tag.deleted",
    "prompt_alias.created", "prompt_alias.deleted",
]
hook = client.create_webhook("all", sys.argv[1], [WebhookEvent.from_str(name) for name in names], secret="s3cret")
assert hook.secret is None and [str(event) for event in hook.events] == names
assert client.get_webhook(hook.webhook_id).url == sys.argv[1]

client.create_registered_model("planes", tags={"a": "b"}, description="wings")
version = client.create_model_version("planes", "s3://bucket/planes", tags={"c": "d"}, description="first")
client.set_model_version_tag("planes", version.version, "k", "v")
client.delete_model_version_tag("planes", version.version, "k")
client.set_registered_model_alias("planes", "champion", version.version)
client.delete_registered_model_alias("planes", "champion")
prompt = mlflow.genai.register_prompt("greeting", "Hello {{name}}!", commit_message="hi", tags={"x": "y"})
mlflow.genai.set_prompt_alias("greeting", "live", prompt.version)
mlflow.genai.delete_prompt_alias("greeting", "live")

def told_all():
    url = f"{mlflow.get_tracking_uri()}/api/v1/webhooks/{hook.webhook_id}/deliveries?state=delivered"
    with urllib.request.urlopen(url) as answer:
        return "prompt_alias.deleted" in {one["event"] for one in json.load(answer)["deliveries"]}


deadline = time.monotonic() + 60
while not told_all():
    assert time.monotonic() < deadline
    time.sleep(0.05)

off = client.update_webhook(hook.webhook_id, status=WebhookStatus.DISABLED, description="off now")
assert off.status == WebhookStatus.DISABLED and off.last_updated_timestamp > hook.last_updated_timestamp
client.create_registered_model("unheard")
assert [found.webhook_id for found in client.list_webhooks()] == [hook.webhook_id]
result = client.test_webhook(hook.webhook_id, WebhookEvent.from_str("prompt_alias.created"))
assert (result.success, result.response_status, result.response_body) == (True, 200, "ok")
for url in ("https://10.0.0.1/x", "http://example.com", "ftp://x", "https://[", "  "):
    try:
        client.update_webhook(hook.webhook_id, url=url)
    except MlflowException as error:
        assert error.error_code == "INVALID_PARAMETER_VALUE", error
    else:
        raise AssertionError(url)
client.delete_webhook(hook.webhook_id)
try:
    client.get_webhook(hook.webhook_id)
except MlflowException as error:
    assert error.error_code == "RESOURCE_DOES_NOT_EXIST" and "not found" in error.message
else:
    raise AssertionError("still there")
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with connect(server.url) as connected:
        yield connected


def wait_for(client: Client, id: str, state: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while len(found := client.webhooks.deliveries(id, state)) < count:
        assert time.monotonic() < deadline, client.webhooks.deliveries(id)
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_mlflows_client_makes_a_webhook_and_hears_of_everything(server: ServerProcess, receiver: Receiver) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    quiet = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-c", MLFLOW, receiver.url]
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]

    found = [request for request in receiver.received if request.json["data"].get("name") in ("planes", "greeting")]
    told = {request.event: request.json["data"] for request in found}
    assert told["registered_model.created"] == {"name": "planes", "tags": {"a": "b"}, "description": "wings"}
    assert told["model_version.created"] == {
        "name": "planes",
        "version": "1",
        "source": "s3://bucket/planes",
        "run_id": None,
        "tags": {"c": "d"},
        "description": "first",
    }
    assert told["model_version_tag.set"] == {"name": "planes", "version": "1", "key": "k", "value": "v"}
    assert told["model_version_alias.created"] == {"name": "planes", "version": "1", "alias": "champion"}
    assert told["prompt_version.created"]["template"] == "Hello {{name}}!"
    assert told["prompt_version.created"]["tags"].items() >= {"x": "y"}.items()
    assert told["prompt_alias.deleted"] == {"name": "greeting", "alias": "live"}
    assert [request.event for request in found if request.event.startswith("model")] == [
        "model_version.created",
        "model_version_tag.set",
        "model_version_tag.deleted",
        "model_version_alias.created",
        "model_version_alias.deleted",
    ]
    assert all(request.headers["x-mlflow-signature"].startswith("v1,") for request in receiver.received)
    assert receiver.received[-1].json["data"]["name"] == "example_prompt"


def test_a_program_makes_a_webhook_and_sees_what_became_of_it(client: Client, receiver: Receiver) -> None:
    receiver.answer = lambda request: (400 if len(receiver.received) == 1 else 200, {})
    hook = client.webhooks.create("native", receiver.url, ["revision.registered"], secret="s3cret", description="d")
    assert hook.items() >= {"signed": True, "active": True, "description": "d"}.items()
    assert "s3cret" not in json.dumps([hook, client.webhooks.list(), client.webhooks.get(hook["id"])])

    client.prompts.register("told", "Be brief.")
    (failed,) = wait_for(client, hook["id"], "failed", 1)
    assert failed.items() >= {"attempts": 1, "status": 400, "note": "ok"}.items()
    client.webhooks.redeliver(hook["id"], failed["id"])
    (delivered,) = wait_for(client, hook["id"], "delivered", 1)
    assert {request.delivery for request in receiver.received} == {delivered["id"]}

    client.webhooks.update(hook["id"], active=False)
    assert client.webhooks.get(hook["id"])["active"] is False
    client.webhooks.delete(hook["id"])
    with pytest.raises(NotFound):
        client.webhooks.get(hook["id"])
    with pytest.raises(InvalidInput, match="There is no event"):
        client.webhooks.create("x", receiver.url, ["no.such"])
    assert "release.promoted" in client.webhooks.events()


def test_mlflows_client_does_not_see_events_it_has_no_words_for(
    server: ServerProcess, client: Client, receiver: Receiver
) -> None:
    own = client.webhooks.create("own", receiver.url, ["revision.approved"])
    both = client.webhooks.create("both", receiver.url, ["revision.approved", "prompt.created"])
    listed = client.call("GET", "/api/2.0/mlflow/webhooks")["webhooks"]
    shown = {hook["webhook_id"]: hook["events"] for hook in listed}
    assert own["id"] not in shown
    assert shown[both["id"]] == [{"entity": "PROMPT", "action": "CREATED"}]
    events = [{"entity": "MODEL_VERSION", "action": "CREATED"}]
    client.call("PATCH", f"/api/2.0/mlflow/webhooks/{both['id']}", {"events": events})
    assert client.webhooks.get(both["id"])["events"] == ["model_version.created", "revision.approved"]
    for hook in (own, both):
        client.webhooks.delete(hook["id"])


def test_mlflows_client_leaves_what_it_sends_empty(client: Client, receiver: Receiver) -> None:
    hook = client.webhooks.create("kept", receiver.url, ["prompt.created"], secret="s3cret", description="d")
    path = f"/api/2.0/mlflow/webhooks/{hook['id']}"
    client.call("PATCH", path, {"name": "", "url": ""})
    assert client.webhooks.get(hook["id"]).items() >= {"name": "kept", "url": receiver.url, "signed": True}.items()
    client.call("PATCH", path, {"description": "", "secret": ""})
    assert client.webhooks.get(hook["id"]).items() >= {"description": None, "signed": False}.items()
    listed = client.call("GET", "/api/2.0/mlflow/webhooks", query={"max_results": 0})["webhooks"]
    assert hook["id"] in {found["webhook_id"] for found in listed}
    client.webhooks.delete(hook["id"])


def test_the_command_line_manages_webhooks(server: ServerProcess, receiver: Receiver) -> None:
    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "twinloop", "webhooks", *words, "--url", server.url]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    added = run("add", "deploys", receiver.url, "--event", "release.promoted", "--secret", stdin="s3cret\n")
    assert added.returncode == 0, added.stderr
    id = added.stdout.strip()
    listed = run("list").stdout
    assert id in listed
    assert "s3cret" not in listed + added.stdout
    tested = run("test", id)
    assert (tested.returncode, receiver.wait(1)[0].event) == (0, "release.promoted")
    assert run("deliveries", id, "--json").stdout.split() == ["{", '"deliveries":', "[]", "}"]
    assert "release.rolled_back" in run("events").stdout.split()
    assert run("remove", id).returncode == 0
    gone = run("test", id)
    assert (gone.returncode, "not found" in gone.stderr) == (2, True)


def test_only_an_admin_may_see_or_make_webhooks(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ServerProcess(tmp_path_factory.mktemp("keys") / "home") as locked:
        with connect(locked.url) as first:
            admin = first.call("POST", "/api/v1/keys", {"name": "boss", "role": "admin"})["secret"]
        with connect(locked.url, key=admin) as boss:
            releaser = boss.call("POST", "/api/v1/keys", {"name": "rel", "role": "releaser"})["secret"]
            boss.webhooks.create("mine", "https://203.0.114.1/x", ["card.created"])
        with connect(locked.url, key=releaser) as other, pytest.raises(Forbidden):
            other.webhooks.list()


@pytest.mark.slow
def test_killed_at_random_moments_the_server_tells_every_registration(tmp_path: Any) -> None:
    home, told = tmp_path / "home", []

    def slowly(request: Received) -> tuple[int, dict[str, str]]:
        time.sleep(0.02)
        return (503, {}) if len(told) == 7 else (200, {})

    with Receiver(slowly) as receiver:
        told = receiver.received
        with ServerProcess(home) as first, connect(first.url) as client:
            client.webhooks.create("all", receiver.url, ["revision.registered"], secret="s")
        registered: set[int] = set()
        for round in range(4):
            running = ServerProcess(home)
            with connect(running.url) as client:
                for number in range(8 + 3 * round):
                    made = client.prompts.register("told", f"Be brief {round}-{number}.")
                    registered.add(made["number"])
            time.sleep(0.05 * round)
            running.kill()
        with ServerProcess(home) as last, connect(last.url) as client:
            (hook,) = client.webhooks.list()
            found = wait_for(client, hook["id"], "delivered", len(registered))
        ids = {request.delivery: request.json["data"]["number"] for request in receiver.received}
    assert sorted(ids.values()) == sorted(registered), "each was told, under one id"
    assert {delivery["id"] for delivery in found} == set(ids)
