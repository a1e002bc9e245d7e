"""Experiments of a folder whose numbers are taken in another home are given other ones, wherever those are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.control.transfer.model import Row

_URI = "mlflow-artifacts:/"
_PLACES = ("artifact_uri", "artifact_location", "source")


class Renumbering:
    """From numbers there to numbers here; empty when every experiment keeps its own."""

    def __init__(self, theirs: Sequence[Row], ours: Sequence[Row]) -> None:
        """An experiment keeps its number where it is free, and is merged into one of its name that is here."""
        names = {row["name"]: row["number"] for row in ours}
        taken = {row["number"] for row in ours}
        self._numbers: dict[int, int] = {}
        for row in sorted(theirs, key=lambda row: int(row["number"])):
            number = names.get(row["name"])
            if number is None:
                number = row["number"] if row["number"] not in taken else max(taken) + 1
            taken.add(number)
            if number != row["number"]:
                self._numbers[row["number"]] = number

    def __call__(self, shape: str, row: Row) -> Row:
        """A row as it is here."""
        if not self._numbers:
            return row
        made = dict(row)
        if shape == "experiments":
            made["number"] = self._numbers.get(row["number"], row["number"])
        if "experiment" in row:
            made["experiment"] = self._numbers.get(row["experiment"], row["experiment"])
        for name in _PLACES:
            if isinstance(row.get(name), str):
                made[name] = self._place(row[name])
        if shape == "artifacts":
            made["folder"] = self._folder(row["folder"])
        if shape == "lineage_nodes" and isinstance(row.get("detail"), Mapping):
            made["detail"] = self._detail(row["detail"])
        if shape == "revisions" and isinstance(row.get("origin"), Mapping):
            made["origin"] = {
                key: self._place(value) if isinstance(value, str) else value for key, value in row["origin"].items()
            }
        return made

    def _place(self, uri: str) -> str:
        return _URI + self._folder(uri.removeprefix(_URI)) if uri.startswith(_URI) else uri

    def _folder(self, folder: str) -> str:
        first, slash, rest = folder.partition("/")
        number = self._numbers.get(int(first)) if first.isascii() and first.isdigit() and len(first) < 19 else None
        return folder if number is None else f"{number}{slash}{rest}"

    def _detail(self, detail: Mapping[str, Any]) -> dict[str, Any]:
        said = detail.get("experiment")
        if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 19:
            return {**detail, "experiment": str(self._numbers.get(int(said), int(said)))}
        return dict(detail)
