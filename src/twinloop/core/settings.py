"""All settings, in one place. The environment is read here and nowhere else; a bad value is an error at start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from twinloop.core.errors import InvalidSettings

PREFIX = "TWINLOOP_"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a Twinloop process runs with. Every field can be set as ``TWINLOOP_<FIELD>``."""

    home: Path = Path(".twinloop")
    """Folder that holds everything of an embedded installation."""
    host: str = "127.0.0.1"
    """Address to listen on. Any but a loopback address needs a key first: ``twinloop keys create``."""
    port: int = 7700
    """TCP port to listen on; 0 takes a free one."""
    url: str = ""
    """URL of a running Twinloop that the CLI and the SDK talk to; empty uses the home."""
    key: str = ""
    """Bearer key that the CLI and the SDK send."""
    store: str = "sqlite:twinloop.db"
    """URL of the relational store; a relative path lies in the home."""
    blobs: str = "file:blobs"
    """URL of the blob store: ``file:folder`` in the home, or ``s3://bucket/prefix`` with ``?region=…&endpoint=…``."""
    vectors: str = "qdrant-edge:indexes"
    """URL of the vector engine; ``exact:`` keeps vectors in memory and compares a query with each."""
    secrets: dict[str, str] = {}
    """Keys of providers by name, from ``TWINLOOP_SECRET_<NAME>``; a revision names a secret and never holds it."""
    weights: Path = Path.home() / ".cache" / "twinloop"
    """Folder in which fetched model weights are kept; may be shared between homes."""
    spool: Path = Path.home() / ".local" / "state" / "twinloop" / "spool"
    """Folder in which the SDK keeps what runs log until the server has it."""
    exit_wait_s: float = 10.0
    """Longest time a program waits at its end until what its runs logged has arrived, in seconds."""
    deadline_s: float = 300.0
    """Longest time an answer may take to begin, in seconds."""
    webhook_hosts: str = ""
    """Receivers of webhooks that are not public: host names, addresses and networks, parted by commas, such as
    ``hooks.internal,10.0.0.0/8``. These may be called over http too. A server on loopback may always call loopback."""
    log_level: str = "warning"
    """debug, info, warning or error."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidSettings(f"port is {self.port}; set TWINLOOP_PORT to a number from 0 to 65535.")
        if self.deadline_s <= 0:
            raise InvalidSettings(
                f"deadline_s is {self.deadline_s}; set TWINLOOP_DEADLINE_S to a number of seconds above 0."
            )
        if self.exit_wait_s < 0:
            raise InvalidSettings(
                f"exit_wait_s is {self.exit_wait_s}; set TWINLOOP_EXIT_WAIT_S to a number of seconds, 0 or more."
            )
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise InvalidSettings(f"log_level is {self.log_level!r}; use debug, info, warning or error.")

    def __repr__(self) -> str:
        """Every field, with the names of secrets and without their values."""
        shown = {field: getattr(self, field) for field in self.__struct_fields__} | {"secrets": sorted(self.secrets)}
        return f"Settings({', '.join(f'{field}={value!r}' for field, value in shown.items())})"

    @property
    def loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def load(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment, with ``overrides`` (None values are skipped) on top.

    Raises:
        InvalidSettings: a variable named TWINLOOP_… is unknown or its value does not fit; the message names it.
    """
    found: dict[str, Any] = {}
    for name, text in environ.items():
        if name.startswith(PREFIX):
            field = name.removeprefix(PREFIX).lower()
            if field.startswith("secret_"):
                found.setdefault("secrets", {})[field.removeprefix("secret_")] = text
                continue
            if field not in Settings.__struct_fields__:
                raise InvalidSettings(f"There is no setting {name}. Settings are: {', '.join(_names())}.")
            found[field] = text
    found.update({field: value for field, value in (overrides or {}).items() if value is not None})
    try:
        return msgspec.convert(found, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"A setting has a bad value: {error}. Settings are: {', '.join(_names())}.") from error


def variables(names: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is set of some variables that belong to other programs, such as ``MLFLOW_TRACKING_TOKEN``."""
    return {name: environ[name] for name in names if environ.get(name)}


def _names() -> list[str]:
    return [PREFIX + field.upper() for field in Settings.__struct_fields__]


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    raise TypeError(f"{value!r} is not a {kind.__name__}")
