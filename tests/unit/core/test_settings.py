from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.core.errors import InvalidSettings
from twinloop.core.settings import load


def test_the_environment_is_read_and_an_argument_goes_before_it() -> None:
    environ = {"TWINLOOP_PORT": "7800", "TWINLOOP_HOME": "/data/home", "PATH": "/bin"}
    assert load(environ=environ).port == 7800
    settings = load({"port": 7900, "host": None}, environ)
    assert (settings.port, settings.host, settings.home) == (7900, "127.0.0.1", Path("/data/home"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TWINLOOP_PORT", "many"),
        ("TWINLOOP_PORT", "70000"),
        ("TWINLOOP_DEADLINE_S", "0"),
        ("TWINLOOP_EXIT_WAIT_S", "-1"),
        ("TWINLOOP_LOG_LEVEL", "loud"),
        ("TWINLOOP_PROT", "1"),
    ],
)
def test_a_bad_value_or_an_unknown_name_is_an_error_that_names_it(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(environ={name: value})
    assert name.removeprefix("TWINLOOP_").lower() in caught.value.message.lower()


def test_secrets_are_read_by_name_and_not_shown() -> None:
    settings = load(environ={"TWINLOOP_SECRET_OPENAI": "sk-very-secret-value"})
    assert settings.secrets["openai"] == "sk-very-secret-value"
    assert "sk-very-secret-value" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.1", False)],
)
def test_only_loopback_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert load({"host": host}, {}).loopback is loopback
