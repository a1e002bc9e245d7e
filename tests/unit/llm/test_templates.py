"""Prompts that MLflow's clients register: their variables, what they say, and what a chat endpoint makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.llm.lane import WHO, Lane, ask
from tests.unit.llm.test_chat import PROMPT, TICKETS
from twinloop.core.errors import InvalidInput, NotOffered, Refused
from twinloop.llm.prompts.kind import PromptKind, read_prompt
from twinloop.llm.prompts.model import Prompt
from twinloop.llm.prompts.service import Prompts
from twinloop.llm.prompts.template import TemplatePrompt, render_template

TEXT = {"format": "text", "template": "Hello {{ name }}, {{name}} of {{place.city}}! {not} {{ 1x }}", "version": 3}
CHAT = {
    "format": "chat",
    "template": [
        {"role": "system", "content": "Speak {{tone}}."},
        {"role": "user", "content": [{"type": "text", "text": "{{question}}"}, {"type": "image_url", "n": 1}]},
    ],
    "response_format": {"type": "object"},
    "model_config": {"temperature": 0.3, "model_name": "gpt"},
    "version": 1,
}


def template(manifest: dict[str, Any]) -> TemplatePrompt:
    PromptKind().validate(manifest)
    found = read_prompt(manifest)
    assert isinstance(found, TemplatePrompt)
    return found


def test_variables_are_listed_in_the_order_they_occur() -> None:
    assert template(TEXT).variables == ("name", "place.city")
    assert template(CHAT).variables == ("tone", "question")


def test_places_are_filled_and_everything_else_is_left_as_it_is() -> None:
    done = render_template(template(TEXT), {"name": "{{place.city}}", "place.city": ["a", 1]})
    assert done.text == 'Hello {{place.city}}, {{place.city}} of ["a",1]! {not} {{ 1x }}'
    done = render_template(template(CHAT), {"tone": "softly", "question": "\\1 why?"})
    assert done.text is None
    assert done.messages == [
        {"role": "system", "content": "Speak softly."},
        {"role": "user", "content": [{"type": "text", "text": "\\1 why?"}, {"type": "image_url", "n": 1}]},
    ]


def test_missing_and_unknown_variables_are_named_together() -> None:
    with pytest.raises(
        InvalidInput, match=r"no value for place\.city and no place for colour\. .* are: name, place\.city"
    ):
        render_template(template(TEXT), {"name": "x", "colour": "red"})
    with pytest.raises(InvalidInput, match=r"no place for x\. The prompt's variables are: none"):
        render_template(template({"format": "text", "template": "plain"}), {"x": 1})


def test_statements_are_kept_and_not_run() -> None:
    prompt = template({"format": "text", "template": "{% for x in y %}{{x}}{% endfor %}"})
    with pytest.raises(NotOffered, match="not run here"):
        render_template(prompt, {"x": 1})


@given(st.text("{} \nabx", max_size=30), st.text("{}ab", max_size=10))
def test_a_value_is_never_looked_at_for_places(text: str, value: str) -> None:
    prompt = TemplatePrompt("text", "<{{a}}>" + text)
    filled = render_template(prompt, dict.fromkeys(prompt.variables, value)).text
    assert filled is not None
    assert filled.startswith(f"<{value}>")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"format": "text", "template": [{"role": "user"}]}, "is a text"),
        ({"format": "chat", "template": "x"}, "list of messages"),
        ({"format": "chat", "template": [{"content": "x"}]}, "Message 0 .* no role"),
        ({"format": "poem", "template": "x"}, "format"),
        ({"format": "text"}, "template"),
        ({"format": "text", "template": "x", "model_config": 3}, "model_config"),
    ],
)
def test_a_template_that_is_not_of_its_format_is_refused(manifest: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        PromptKind().validate(manifest)


async def test_prompts_of_the_registry_are_rendered_by_reference(lane: Lane) -> None:
    prompts = Prompts(lane.registry)
    made = (await lane.registry.register(WHO, "prompt", "greet", TEXT)).revision
    await lane.registry.set_alias(WHO, "prompt", "greet", "champion", 1)
    for ref in ("greet", "greet@1", "prompt/greet@champion", made.digest):
        found = await prompts.render(WHO, ref, {"name": "Ann", "place.city": "Oslo"})
        assert found.revision.ref == "prompt/greet@1"
        assert str(found.rendered.text).startswith("Hello Ann, Ann of Oslo!")
    own = Prompt(system="Be {{brief}}.", template="{context}{{x}}\n{question}")
    await lane.registry.register(WHO, "prompt", "own", own.to_json())
    said = (await prompts.render(WHO, "own", {"context": "{question}", "question": "why?"})).rendered.messages
    assert said == [
        {"role": "system", "content": "Be {{brief}}."},
        {"role": "user", "content": "{question}{{x}}\nwhy?"},
    ]
    with pytest.raises(InvalidInput, match="no value for context"):
        await prompts.render(WHO, "own", {"question": "why?"})
    generator = (await lane.registry.register(WHO, "generator", "g", {"engine": "says"})).revision
    with pytest.raises(InvalidInput, match="is not a prompt"):
        await prompts.render(WHO, generator.ref, {})


async def test_a_text_template_words_the_question_of_a_chat_endpoint(lane: Lane) -> None:
    lane.generators.engine.says = "Because."
    manifest = {
        "format": "text",
        "template": "Answer in French: {{question}}",
        "model_config": {"temperature": 0.5, "max_tokens": 9, "model_name": "gpt", "top_p": None},
    }
    target = await lane.chat_target(manifest, None)
    assert (await ask(target, "Hi", "Hello", "why {{question}}?")).text == "Because."
    [messages] = lane.generators.engine.asked
    assert [(m.role, m.content) for m in messages] == [
        ("system", "You are a helpful assistant."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Answer in French: why {{question}}?"),
    ]
    [options] = lane.generators.engine.options
    assert (options.temperature, options.max_tokens) == (0.5, 9)


async def test_a_chat_template_with_a_context_answers_from_documents(lane: Lane) -> None:
    built = await lane.build("docs", (await lane.ingest("docs", {"t.md": TICKETS})).documents)
    lane.generators.engine.says = "Dogs travel free."
    manifest = {
        "format": "chat",
        "template": [
            {"role": "system", "content": "Answer briefly."},
            {"role": "user", "content": "{{ context }}\nAsked: {{ question }}"},
        ],
    }
    target = await lane.chat_target(manifest, built.index)
    answer = await ask(target, "Do dogs travel free?")
    assert answer.text == "Dogs travel free. [1]"
    [messages] = lane.generators.engine.asked
    assert messages[0].content == "Answer briefly."
    assert messages[-1].content.startswith('<passage n="1"')
    assert messages[-1].content.endswith("Asked: Do dogs travel free?")


def chat(*said: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": "chat", "template": [{"role": role, "content": text} for role, text in said], **more}


@pytest.mark.parametrize(
    ("manifest", "indexed", "said"),
    [
        ({"format": "text", "template": "{{question}} in {{tone}} {{style}}"}, False, "the variables tone, style"),
        ({"format": "text", "template": "{% if x %}{{question}}{% endif %}"}, False, "statements"),
        ({"format": "text", "template": "Tell me a joke."}, False, "has no {{question}}"),
        ({"format": "text", "template": "{{question}}"}, True, "has no {{context}} for the passages"),
        ({"format": "text", "template": "{{context}} {{question}}"}, False, "none is pinned with it"),
        ({"format": "text", "template": "{{context}} {{question}} {{question}}"}, True, "2 times"),
        ({"format": "text", "template": "{{question}}", "response_format": {"a": 1}}, False, "response_format"),
        ({"format": "text", "template": "{{question}}", "model_config": {"top_p": 0.5}}, False, "sets top_p"),
        ({"format": "text", "template": "{{question}}", "model_config": {"temperature": 9}}, False, "temperature"),
        ({"format": "text", "template": "{{question}}", "model_config": {"max_tokens": "x"}}, False, "max_tokens"),
        (chat(("system", "Say {{question}}"), ("user", "{{question}}")), False, "system message has variables"),
        (chat(("user", "{{question}}"), ("assistant", "yes")), False, "followed by one text"),
        (chat(("user", "a"), ("user", "{{question}}")), False, "followed by one text"),
        (chat(("user", [{"type": "text", "text": "{{question}}"}])), False, "followed by one text"),
        (chat(), False, "followed by one text"),
    ],
)
async def test_what_an_endpoint_cannot_honour_is_refused_at_release(
    lane: Lane, manifest: dict[str, Any], indexed: bool, said: str
) -> None:
    built = await lane.build("docs", (await lane.ingest("docs", {"t.md": TICKETS})).documents) if indexed else None
    with pytest.raises(Refused) as refused:
        await lane.chat_target(manifest, built.index if built is not None else None)
    assert said in str(refused.value)
    assert str(refused.value).startswith("prompt/p@1 cannot ask at a chat endpoint: ")


async def test_a_prompt_with_a_system_text_asks_as_it_always_did(lane: Lane) -> None:
    lane.generators.engine.says = "Hi."
    target = await lane.chat_target(PROMPT, None)
    await ask(target, "Hello {{question}}")
    [messages] = lane.generators.engine.asked
    assert [m.content for m in messages] == ["Answer briefly.", "Hello {{question}}"]
