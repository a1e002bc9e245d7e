"""Every generator behaves alike: the contract of ``twinloop.llm.generation.ports.ChatEngine``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from twinloop.backends.generators import Generators
from twinloop.backends.llamacpp.engine import LlamaCppEngine
from twinloop.core.errors import InvalidInput, Unavailable
from twinloop.llm.generation.ports import ChatEngine, Chunk, GenerationOptions, Message

pytestmark = pytest.mark.slow

WEIGHTS = "smollm2-135m-instruct-q4_1"
MANIFEST = {"engine": "llamacpp", "weights": WEIGHTS, "context": 1024}
QUESTION = [Message("user", "Tell a long story about an airport in winter.")]
STEADY = GenerationOptions(max_tokens=24, temperature=0.0, seed=1)


@pytest.fixture(params=["llamacpp", "openai"])
async def engine(request: pytest.FixtureRequest, weights_dir: Path) -> AsyncIterator[ChatEngine]:
    """llama.cpp through its own adapter, and as a foreign OpenAI server behind a URL and a key."""
    local = await LlamaCppEngine.open(WEIGHTS, weights_dir, context=1024)
    if request.param == "llamacpp":
        yield local
    else:
        client = await local.supervisor.client()
        engines = Generators(weights_dir, secret={"LOCAL": client._key}.get)
        opened = await engines.open({"engine": "openai", "url": client._url, "model": "local", "secret": "LOCAL"})
        yield opened
        await opened.aclose()
    await local.aclose()


@pytest.fixture
async def local(weights_dir: Path) -> AsyncIterator[LlamaCppEngine]:
    opened = await LlamaCppEngine.open(WEIGHTS, weights_dir, context=1024)
    yield opened
    await opened.aclose()


async def collect(
    engine: ChatEngine, messages: list[Message] = QUESTION, options: GenerationOptions = STEADY
) -> list[Chunk]:
    async with contextlib.aclosing(engine.stream(messages, options)) as chunks:
        return [chunk async for chunk in chunks]


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_an_answer_comes_in_pieces_and_ends_with_reason_and_usage(engine: ChatEngine) -> None:
    chunks = await collect(engine)
    assert len(chunks) > 5
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks[:-1])
    last = chunks[-1]
    assert last.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.output_tokens == 24
    assert last.usage.input_tokens > 10


async def test_the_same_seed_gives_the_same_answer(engine: ChatEngine) -> None:
    assert text_of(await collect(engine)) == text_of(await collect(engine))


async def test_a_whole_answer_is_the_streamed_one(engine: ChatEngine) -> None:
    whole = await collect(engine, options=msgspec.structs.replace(STEADY, whole=True))
    streamed = await collect(engine)
    assert text_of(whole) == text_of(streamed)
    assert whole[-1].finish_reason == streamed[-1].finish_reason
    assert whole[-1].usage is not None


async def test_generation_ends_at_a_stop_text(engine: ChatEngine) -> None:
    whole = text_of(await collect(engine))
    stop = whole.split()[4]
    chunks = await collect(engine, options=msgspec.structs.replace(STEADY, stop=(stop,)))
    assert chunks[-1].finish_reason == "stop"
    assert text_of(chunks) == whole[: whole.index(stop)]


async def test_a_json_schema_forces_the_form_of_the_answer(engine: ChatEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"tool": {"enum": ["search", "answer"]}, "n": {"type": "integer", "maximum": 99, "minimum": 0}},
        "required": ["tool", "n"],
        "additionalProperties": False,
    }
    options = GenerationOptions(max_tokens=60, temperature=0.0, json_schema=schema)
    answer = msgspec.json.decode(text_of(await collect(engine, options=options)))
    assert answer["tool"] in ("search", "answer")
    assert isinstance(answer["n"], int)


async def test_concurrent_requests_get_their_own_answers(engine: ChatEngine) -> None:
    alone = [text_of(await collect(engine, [Message("user", f"Count to {n}.")])) for n in (3, 9)]
    together = await asyncio.gather(*(collect(engine, [Message("user", f"Count to {n}.")]) for n in (3, 9, 3, 9)))
    for number, answer in enumerate(together):
        assert text_of(answer)[:8] == alone[number % 2][:8]


async def test_a_prompt_beyond_the_context_is_refused(engine: ChatEngine) -> None:
    with pytest.raises(InvalidInput, match="does not fit"):
        await collect(engine, [Message("user", "snow " * 3000)])


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([], GenerationOptions()),
        (QUESTION, GenerationOptions(max_tokens=0)),
        (QUESTION, GenerationOptions(temperature=-1)),
        (QUESTION, GenerationOptions(top_p=0.0)),
    ],
)
async def test_requests_nobody_can_answer_are_refused(
    local: LlamaCppEngine, messages: list[Message], options: GenerationOptions
) -> None:
    with pytest.raises(InvalidInput):
        await collect(local, messages, options)


async def test_leaving_early_stops_the_engine(engine: ChatEngine, weights_dir: Path) -> None:
    """One slot's worth of abandoned stories would take minutes; a question after them is answered at once."""
    long = GenerationOptions(max_tokens=900, temperature=1.0, seed=3)
    for _ in range(4):
        async with contextlib.aclosing(engine.stream(QUESTION, long)) as chunks:
            async for _chunk in chunks:
                break
    began = time.monotonic()
    await collect(engine, [Message("user", "Hello")], GenerationOptions(max_tokens=2))
    assert time.monotonic() - began < 5


async def test_cancelling_the_task_stops_the_engine(local: LlamaCppEngine) -> None:
    task = asyncio.create_task(collect(local, options=GenerationOptions(max_tokens=900)))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pid = local.supervisor.pid
    assert pid is not None
    await asyncio.sleep(0.5)
    before = cpu_ticks(pid)
    await asyncio.sleep(0.5)
    assert cpu_ticks(pid) - before < 10


async def test_closing_twice_is_allowed_and_later_requests_are_told(local: LlamaCppEngine) -> None:
    await local.aclose()
    await local.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await collect(local)


async def test_a_killed_process_is_replaced_and_requests_wait_for_the_next(local: LlamaCppEngine) -> None:
    before = text_of(await collect(local))
    first = local.supervisor.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert text_of(await collect(local)) == before
    assert local.supervisor.pid != first
    assert local.supervisor.state == "ready"


async def test_a_process_that_hangs_is_noticed_by_its_silence(
    local: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local.aclose()
    monkeypatch.setattr("twinloop.backends.llamacpp.process._CHECK_EVERY", 0.2)
    watched = await LlamaCppEngine.open(WEIGHTS, Path.home() / ".cache" / "twinloop", context=1024)
    first = watched.supervisor.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    await eventually(lambda: watched.supervisor.pid not in (first, None))
    assert len(await collect(watched)) > 1
    await watched.aclose()
    assert not is_alive(first)


async def test_the_process_dies_with_its_parent(weights_dir: Path) -> None:
    script = (
        "import asyncio, pathlib, sys, time\n"
        "from twinloop.backends.llamacpp.engine import LlamaCppEngine\n"
        "async def main():\n"
        f"    engine = await LlamaCppEngine.open({WEIGHTS!r}, pathlib.Path(sys.argv[1]), context=512)\n"
        "    print(engine.supervisor.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(weights_dir)), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not is_alive(child))


async def test_a_broken_model_file_is_an_error_and_leaves_nothing_running(tmp_path: Path) -> None:
    from twinloop.backends.llamacpp.process import Supervisor

    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    supervisor = Supervisor(tmp_path / "broken.gguf", context=512, slots=1, threads=1)
    with pytest.raises(Unavailable, match=r"did not start with broken\.gguf"):
        await supervisor.start()
    assert supervisor.pid is None


async def test_equal_manifests_share_one_process(weights_dir: Path) -> None:
    engines = Generators(weights_dir)
    first = await engines.open(MANIFEST)
    second = await engines.open({**MANIFEST, "options": {"temperature": 0.2}})
    assert engines.states() == [(f"llamacpp:{WEIGHTS}", "ready", "")]
    await first.aclose()
    await first.aclose()
    assert len(await collect(second)) > 1
    await second.aclose()
    assert engines.states() == []


async def test_a_description_names_model_and_weights(local: LlamaCppEngine) -> None:
    about = local.describe()
    assert (about.engine, about.model, about.context_tokens) == ("llamacpp", WEIGHTS, 1024)
    assert about.digest is not None
    assert about.digest.startswith("sha256:b179c952")


@pytest.mark.parametrize(
    "manifest",
    [
        {"engine": "unheard of"},
        {"engine": "llamacpp", "weights": "unheard of"},
        {"engine": "llamacpp", "weights": "all-MiniLM-L6-v2"},
        {"engine": "llamacpp", "weights": WEIGHTS, "context": 1},
        {"engine": "llamacpp", "weights": WEIGHTS, "contxt": 4096},
        {"engine": "openai", "url": "ftp://host/v1", "model": "m"},
        {"engine": "openai", "url": "https://user:key@host/v1", "model": "m"},
    ],
)
def test_a_wrong_manifest_is_refused(manifest: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        Generators(tmp_path).validate(manifest)


async def test_a_secret_that_is_not_set_is_named(tmp_path: Path) -> None:
    manifest = {"engine": "openai", "url": "https://host/v1", "model": "m", "secret": "MY_KEY"}
    with pytest.raises(InvalidInput, match="'MY_KEY' is not set"):
        await Generators(tmp_path).open(manifest)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing announces what another process does
            await asyncio.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
