"""Prompts that the real client registered, rendered here and pinned at a chat endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests import peer
from tests.serving import ServerProcess
from twinloop.core.errors import InvalidInput, NotOffered, Refused
from twinloop.sdk.client import Client

pytestmark = [pytest.mark.skipif(not peer.HERE, reason=peer.WHY_NOT), pytest.mark.slow]

SCRIPT = Path(__file__).parent / "mlflow_models" / "register_prompts.py"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ServerProcess(tmp_path_factory.mktemp("prompts") / "home") as running:
        yield running.url


@pytest.fixture(scope="module")
def told(url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return peer.run_script(SCRIPT, url, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def client(url: str, told: Any) -> Any:
    with tl.connect(url) as connected:
        yield connected


def test_a_prompt_says_here_what_it_says_to_its_client(client: Client, told: Any) -> None:
    for ref in ("greeting@champion", "greeting@1", "prompt/greeting@1"):
        assert client.prompts.render(ref, name="Ann", place="Oslo") == told["text"]
    assert client.prompts.render("support", language="French", question="why?") == told["messages"]


def test_what_a_prompt_lacks_or_has_no_use_for_is_named(client: Client, told: Any) -> None:
    with pytest.raises(InvalidInput, match=r"no value for place and no place for colour\. .* name, place"):
        client.prompts.render("greeting@1", name="Ann", colour="red")
    with pytest.raises(NotOffered, match="not run here"):
        client.prompts.render("greeting@2", name="Ann")


def test_the_manifest_holds_all_that_was_registered(client: Client) -> None:
    manifest = client.revisions.get("prompt/support@1")["manifest"]
    assert manifest["format"] == "chat"
    assert [message["role"] for message in manifest["template"]] == ["system", "user"]
    assert manifest["response_format"]["properties"] == {"answer": {"type": "string"}}
    assert manifest["model_config"] == {"model_name": "any", "temperature": 0.2}


def test_a_chat_endpoint_takes_a_prompt_that_asks_and_refuses_one_it_cannot_fill(client: Client) -> None:
    upstream = {"engine": "openai", "url": "http://127.0.0.1:9/v1", "model": "any"}
    generator = client.revisions.register("generator", "away", upstream)["ref"]
    for name, said in (("support", "the variables language"), ("greeting", "the variables name, place")):
        with pytest.raises(Refused, match=said):
            client.endpoints.release(name, type="chat", pins={"prompt": f"prompt/{name}@1", "generator": generator})
    made = client.endpoints.release("asking", type="chat", pins={"prompt": "prompt/asking", "generator": generator})
    assert made["pins"]["prompt"]["ref"] == "prompt/asking@1"
