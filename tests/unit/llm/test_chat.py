from __future__ import annotations

from contextlib import aclosing

import msgspec
import pytest

from tests.unit.llm.lane import WHO, Lane, ask, recording
from twinloop.control.releases.answers import ChatRequest, EmbedRequest, Message
from twinloop.core.errors import InvalidInput
from twinloop.llm.prompts.model import Prompt, Retrieval, Sampling

TICKETS = """# Tickets

## Fares

A single crossing costs 14 crowns for an adult and 7 crowns for a child. Dogs travel free.

## Refunds

A ticket can be refunded until two hours before departure. Bought on board, it is never refunded.
"""
CREW = "# Crew\n\nDeck crew wear the grey jacket. Engineers wear orange overalls.\n"
PROMPT = Prompt(
    system="Answer briefly.",
    retrieval=Retrieval(k=3, min_score=0.3),
    options=Sampling(max_tokens=50),
    decline="I cannot tell.",
)


async def opened(lane: Lane, says: str = "", prompt: Prompt = PROMPT):  # type: ignore[no-untyped-def]
    built = await lane.build("docs", (await lane.ingest("docs", {"t.md": TICKETS, "c.md": CREW})).documents)
    lane.generators.engine.says = says
    return await lane.chat_target(prompt, built.index)


async def test_a_supported_sentence_is_sent_with_a_citation_of_its_exact_place(lane: Lane) -> None:
    target = await opened(lane, "A single crossing costs 14 crowns for an adult.")
    answer = await ask(target, "What does a single crossing cost?")
    assert answer.text == "A single crossing costs 14 crowns for an adult. [1]"
    citation = answer.citations[0]
    assert citation.document == "document/docs/t.md@1"
    assert citation.heading == ("Tickets", "Fares")
    assert TICKETS[citation.start : citation.end] == citation.quote
    assert citation.quote.startswith("A single crossing costs 14 crowns")
    assert (answer.deltas[-1].finish, answer.deltas[-1].usage.prompt_tokens) == ("stop", 40)


async def test_the_trace_links_to_what_was_retrieved_and_cited_and_records_prompt_and_answer(lane: Lane) -> None:
    target = await opened(lane, "Dogs travel free.")
    answer = await ask(target, "Do dogs travel free?")
    links = answer.recorder.links
    tickets = (await lane.registry.get(WHO, "document/docs/t.md")).digest
    assert [link.role for link in links] == ["retrieved", "retrieved", "retrieved", "cited"]
    assert links[-1].parent == tickets
    assert links[-1].via is not None
    assert links[-1].via["kind"] == "chunk"
    assert links[-1].via["name"] == "docs/t.md#Tickets > Fares"
    assert links[-1].via["quote"] == "Dogs travel free."
    spans = {span.name: span.attributes for span in answer.recorder.spans}
    generation = spans["chat parrot"]
    assert generation["gen_ai.request.model"] == "parrot"
    assert generation["gen_ai.usage.input_tokens"] == 40
    assert "Do dogs travel free?" in str(generation["gen_ai.input.messages"])
    assert "Dogs travel free." in str(generation["gen_ai.output.messages"])
    assert spans["retrieval"]["gen_ai.retrieval.documents"]
    assert spans["chat test"]["twinloop.answer"] == answer.text
    assert answer.recorder.summary["citations"] == 1


async def test_a_question_that_nothing_retrieved_fits_is_declined_without_generating(lane: Lane) -> None:
    target = await opened(lane, "Made up.")
    answer = await ask(target, "Which planet is largest?")
    assert answer.text == "I cannot tell."
    assert answer.deltas[-1].finish == "declined"
    assert answer.recorder.summary["declined"] is True
    assert lane.generators.engine.asked == []


@pytest.mark.parametrize(
    "lie",
    [
        "A single crossing costs 15 crowns for an adult.",
        "A single crossing costs 14 crowns for an adult in Oslo.",
        "A single crossing never costs 14 crowns for an adult.",
        "Engineers wear the grey jacket.",
        "A ticket can be refunded until two days before departure.",
        "It is a lovely day.",
        "What does a single crossing cost?",
    ],
)
async def test_a_sentence_the_text_does_not_say_is_withheld_and_the_text_itself_answers(lane: Lane, lie: str) -> None:
    target = await opened(lane, lie)
    answer = await ask(target, "What do engineers wear, and what does a single crossing cost?")
    assert lie not in answer.text
    assert answer.recorder.summary["extractive"] is True
    assert answer.recorder.summary["withheld"] == 1
    citation = answer.citations[0]
    assert citation.quote in TICKETS + CREW


async def test_a_question_of_one_word_is_answered_from_sentences_that_hold_it(lane: Lane) -> None:
    answer = await ask(await opened(lane, "Dogs travel free."), "Dogs?")
    assert answer.text == "Dogs travel free. [1]"


async def test_a_question_without_a_word_in_the_documents_is_declined_and_not_an_error(lane: Lane) -> None:
    everything = msgspec.structs.replace(PROMPT, retrieval=Retrieval(k=3, min_score=-1))
    asked_there = await lane.build(
        "asked", (await lane.ingest("asked", {"q.md": "What does a crossing cost?"})).documents
    )
    target = await lane.chat_target(everything, asked_there.index)
    assert (await ask(target, "What does a crossing cost?")).text == "I cannot tell."


async def test_what_is_true_but_beside_the_question_is_withheld(lane: Lane) -> None:
    target = await opened(lane, "Dogs travel free.")
    answer = await ask(target, "Until when can a ticket be refunded?")
    assert answer.text == "A ticket can be refunded until two hours before departure. [1]"


async def test_numbers_in_words_and_digits_are_the_same(lane: Lane) -> None:
    target = await opened(lane, "A ticket can be refunded until 2 hours before departure.")
    answer = await ask(target, "Until when can a ticket be refunded?")
    assert answer.text.startswith("A ticket can be refunded until 2 hours")


async def test_sentences_are_streamed_one_by_one_and_one_place_is_cited_once(lane: Lane) -> None:
    says = "A ticket can be refunded until two hours before departure. The ticket can be refunded until 2 hours before departure."
    target = await opened(lane, says)
    answer = await ask(target, "Until when can a ticket be refunded?")
    assert [delta.text.strip()[-3:] for delta in answer.deltas[:-1]] == ["[1]", "[1]"]
    assert len(answer.citations) == 1


async def test_a_generator_that_repeats_itself_or_lies_twice_is_stopped(lane: Lane) -> None:
    target = await opened(lane, "Dogs travel free. " * 50)
    assert (await ask(target, "Do dogs travel free?")).text == "Dogs travel free. [1]"
    assert lane.generators.engine.stopped == 1
    target = await opened(lane, "Cats pay double. Mice pay half. " + "More. " * 50)
    await ask(target, "Do dogs travel free?")
    assert lane.generators.engine.stopped == 2


async def test_a_client_that_goes_away_stops_the_generation(lane: Lane) -> None:
    target = await opened(lane, "Dogs travel free. A single crossing costs 14 crowns. " + "And on and on. " * 100)
    _, span = recording()
    request = ChatRequest((Message("user", "Do dogs travel free?"),))
    async with aclosing(target.stream(request, span)) as deltas:
        assert (await anext(deltas)).text == "Dogs travel free. [1]"
    assert lane.generators.engine.stopped == 1
    assert span.attributes["twinloop.answer"] == "Dogs travel free. [1]"


async def test_a_changed_document_is_answered_from_its_new_text_after_the_next_release(lane: Lane) -> None:
    old = await opened(lane, "Engineers wear orange overalls.")
    changed = CREW.replace("orange", "yellow")
    built = await lane.build("docs", (await lane.ingest("docs", {"t.md": TICKETS, "c.md": changed})).documents)
    new = await lane.chat_target(PROMPT, built.index)
    after = await ask(new, "What do engineers wear?")
    assert after.text == "Engineers wear yellow overalls. [1]"
    assert after.citations[0].document == "document/docs/c.md@2"
    before = await ask(old, "What do engineers wear?")
    assert before.citations[0].document == "document/docs/c.md@1"


async def test_a_short_follow_up_is_understood_with_the_question_before_it(lane: Lane) -> None:
    target = await opened(lane, "")
    answer = await ask(target, "What do engineers wear?", "Overalls.", "And deck crew?")
    assert answer.citations[0].document == "document/docs/c.md@1"
    sent = lane.generators.engine.asked[-1]
    assert [message.role for message in sent] == ["system", "user", "assistant", "user"]


async def test_the_generator_sees_fenced_chunks_or_the_best_sentences(lane: Lane) -> None:
    await ask(await opened(lane), "What do engineers wear?")
    assert lane.generators.engine.asked[-1][-1].content.count("<passage n=") == 3
    few = Prompt(system="s", retrieval=Retrieval(k=3, min_score=0.3, excerpts=1))
    await ask(await opened(lane, prompt=few), "What do engineers wear?")
    content = lane.generators.engine.asked[-1][-1].content
    assert "Engineers wear orange overalls." in content
    assert "Deck crew" not in content


async def test_without_an_index_the_chat_is_plain(lane: Lane) -> None:
    lane.generators.engine.says = "Hello there."
    target = await lane.chat_target(PROMPT, None)
    answer = await ask(target, "Hi!")
    assert answer.text == "Hello there."
    assert len(answer.deltas) > 2
    assert answer.recorder.links == []


async def test_a_request_takes_its_own_options_but_no_more_tokens_than_the_prompt_allows(lane: Lane) -> None:
    target = await lane.chat_target(PROMPT, None)
    _, span = recording()
    request = ChatRequest((Message("user", "Hi"),), max_tokens=500, temperature=0.9, seed=7, stop=("x",))
    _ = [delta async for delta in target.stream(request, span)]
    options = lane.generators.engine.options[-1]
    assert (options.max_tokens, options.temperature, options.seed, options.stop) == (50, 0.9, 7, ("x",))


@pytest.mark.parametrize(
    "messages",
    [(), (Message("assistant", "x"),), (Message("user", "  "),), (Message("tool", "x"), Message("user", "y"))],
)
async def test_a_chat_without_a_question_of_the_user_is_refused(lane: Lane, messages: tuple[Message, ...]) -> None:
    target = await lane.chat_target(PROMPT, None)
    _, span = recording()
    with pytest.raises(InvalidInput):
        await anext(target.stream(ChatRequest(messages), span))
    with pytest.raises(InvalidInput, match="answers messages"):
        await target.answer(EmbedRequest(("x",)), span)


async def test_pins_that_cannot_answer_together_are_refused_by_role(lane: Lane) -> None:
    embedder = await lane.registry.get(WHO, await lane.embedder())
    prompt = (await lane.registry.register(WHO, "prompt", "p", PROMPT.to_json())).revision
    with pytest.raises(InvalidInput, match="lacks generator"):
        lane.chat.check({"prompt": prompt})
    with pytest.raises(InvalidInput, match="no use for embedder"):
        lane.chat.check({"prompt": prompt, "generator": prompt, "embedder": embedder})
    with pytest.raises(InvalidInput, match="role generator"):
        lane.chat.check({"prompt": prompt, "generator": prompt})


async def test_an_activation_that_fails_leaves_nothing_open(lane: Lane) -> None:
    target = await opened(lane)
    await target.aclose()
    before = (lane.generators.engine.open, lane.embedders.engine.open)
    lane.embedders.engine.digest = "sha256:" + "1" * 64
    with pytest.raises(Exception, match="Build the index again"):
        await lane.chat_target(PROMPT, "index/docs")
    assert (lane.generators.engine.open, lane.embedders.engine.open) == before
