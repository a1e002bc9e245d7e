"""A chat request becomes a query for the index and messages for the generator."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.control.releases import answers
from twinloop.control.releases.answers import ChatRequest
from twinloop.core.errors import InvalidInput
from twinloop.llm.generation.ports import GenerationOptions, Message
from twinloop.llm.prompts.asking import Asking
from twinloop.llm.prompts.model import Prompt
from twinloop.llm.prompts.render import Passage, inert, render
from twinloop.llm.retrieval.words import content_words

_MESSAGES = 200
_QUERY_CHARS = 2_000
_HISTORY = 4
_HISTORY_CHARS = 800
_SELF_CONTAINED = 3
_CHARS_PER_TOKEN = 3
_RESERVE_TOKENS = 128


def question_of(request: ChatRequest) -> str:
    """The last message, which must be the user's.

    Raises:
        InvalidInput: no message, too many, the last is not the user's or is empty, or one is a tool's.
    """
    if not 1 <= len(request.messages) <= _MESSAGES:
        raise InvalidInput(f"Send between 1 and {_MESSAGES} messages.")
    if any(message.role == "tool" for message in request.messages):
        raise InvalidInput("Messages of the role tool are not taken. Send system, user and assistant messages.")
    last = request.messages[-1]
    if last.role != "user" or not last.content.strip():
        raise InvalidInput("The last message must be the user's and hold text.")
    return last.content


def query_of(request: ChatRequest) -> str:
    """What to look for: the question, after the one before it when it is too short to stand alone ("And in winter?")."""
    asked = [message.content for message in request.messages if message.role == "user"]
    last = asked[-1][:_QUERY_CHARS]
    if len(asked) > 1 and len(set(content_words(last))) < _SELF_CONTAINED:
        return f"{asked[-2]}\n{last}"[-_QUERY_CHARS:]
    return last


def grounded_messages(
    prompt: Prompt, request: ChatRequest, passages: Sequence[Passage], room: int | None
) -> list[Message]:
    """Messages that ask the last question over ``passages``.

    ``room`` is the generator's context in tokens: passages that would not fit are left out, worst first.
    """
    question = request.messages[-1].content
    before = _history(request)
    fitting = list(passages)
    while True:
        messages = [_system(prompt, request), *before, Message("user", render(prompt, question, fitting))]
        size = sum(len(message.content) for message in messages) // _CHARS_PER_TOKEN
        if room is None or len(fitting) <= 1 or size + prompt.options.max_tokens + _RESERVE_TOKENS <= room:
            return messages
        fitting.pop()


def plain_messages(asking: Asking, request: ChatRequest) -> list[Message]:
    """The conversation as it is, behind the prompt's system text, its last message in the prompt's words."""
    *before, last = _said(request.messages)
    return [_system(asking.prompt, request), *before, Message(last.role, asking.worded(last.content))]


def options_of(prompt: Prompt, request: ChatRequest) -> GenerationOptions:
    """The request's options, and the prompt's where the request leaves them open; never more tokens than the prompt allows."""
    default = prompt.options
    return GenerationOptions(
        max_tokens=min(request.max_tokens or default.max_tokens, default.max_tokens),
        temperature=default.temperature if request.temperature is None else request.temperature,
        top_p=request.top_p,
        seed=default.seed if request.seed is None else request.seed,
        stop=request.stop,
    )


def _system(prompt: Prompt, request: ChatRequest) -> Message:
    added = [inert(message.content) for message in request.messages if message.role == "system"]
    return Message("system", "\n\n".join([prompt.system, *added]))


def _history(request: ChatRequest) -> list[Message]:
    earlier = _said(request.messages[:-1])[-_HISTORY:]
    return [Message(message.role, message.content[:_HISTORY_CHARS]) for message in earlier]


def _said(messages: Sequence[answers.Message]) -> list[Message]:
    """What user and assistant said, for the engine."""
    return [Message(m.role, inert(m.content)) for m in messages if m.role == "user" or m.role == "assistant"]
