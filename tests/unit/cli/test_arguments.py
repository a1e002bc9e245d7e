"""What the command line accepts, and how it refuses."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from twinloop.cli.arguments import build, pairs, parse, scalar
from twinloop.cli.main import main
from twinloop.core.errors import InvalidInput
from twinloop.version import __version__

COMMANDS = (
    "up demo init apply run release promote rollback releases why impact ask predict models status doctor keys spool"
)


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_explains_itself_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    assert caught.value.code == 0
    assert f"\n    {command} " in capsys.readouterr().out


MINIMAL: dict[str, list[str]] = {
    "init": ["folder"],
    "run": ["pipeline"],
    "release": ["e"],
    "promote": ["e"],
    "rollback": ["e"],
    "why": ["n"],
    "impact": ["n"],
    "ask": ["e", "q"],
    "predict": ["e", "a=1"],
}


@pytest.mark.parametrize("command", [name for name in COMMANDS.split() if name != "keys"])
def test_every_command_takes_url_and_json(command: str) -> None:
    words = [command, *MINIMAL.get(command, []), "--url", "http://127.0.0.1:1", "--json"]
    arguments = parse(words)
    assert arguments.url == "http://127.0.0.1:1"
    assert arguments.json is True
    assert callable(arguments.handler)


@pytest.mark.parametrize("words", [["keys", "create", "ci"], ["keys", "list"], ["keys", "revoke", "ID"]])
def test_the_keys_commands_take_url_and_json_too(words: list[str]) -> None:
    assert parse([*words, "--url", "http://127.0.0.1:1", "--json"]).json is True


@pytest.mark.parametrize("words", [[], ["bogus"], ["why"], ["up", "--port", "x"], ["status", "--bogus"], ["keys"]])
def test_wrong_words_are_one_sentence_on_stderr_and_exit_code_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert out == ""
    assert err.startswith("twinloop: ")
    assert err.count("\n") == 1
    assert "--help" in err


def test_version_is_printed_at_once() -> None:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "twinloop.cli.main", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"twinloop {__version__}\n"
    assert time.perf_counter() - began < 2, (
        "the limit of 0.2 s is measured on a quiet machine; this only catches a heavy import"
    )


def test_version_imports_neither_numpy_nor_the_engines() -> None:
    program = "import sys; from twinloop.cli.main import main; main(['--version']); print([m for m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "starlette", "msgspec", "sqlalchemy", "aiohttp", "asyncio", "argparse"):
        assert f"'{heavy}'" not in done.stdout, heavy


def test_declaring_the_commands_imports_no_engine() -> None:
    program = "import sys; from twinloop.cli.arguments import build; build(); print([m for m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "starlette", "sqlalchemy", "aiohttp", "uvicorn", "urllib3"):
        assert f"'{heavy}'" not in done.stdout, heavy


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("UA", "UA"),
        ('"12"', "12"),
        ("", ""),
        ("NaN", "NaN"),
        ("2013-07-01", "2013-07-01"),
        ("[1]", "[1]"),
        ("a=b", "a=b"),
    ],
)
def test_values_are_read_as_numbers_or_text(text: str, value: Any) -> None:
    assert scalar(text) == value


def test_pairs_keep_everything_after_the_first_equals_sign() -> None:
    assert pairs(["a=1", "b=x=y", "c="], "value") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("words", [["a"], ["=1"], ["a=1", "a=2"]])
def test_words_that_are_not_pairs_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput):
        pairs(words, "value")


def test_no_option_can_be_abbreviated() -> None:
    with pytest.raises(SystemExit):
        build().parse_args(["status", "--js"])
