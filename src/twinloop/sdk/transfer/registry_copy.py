"""Registered models and prompts: cards, versions with their numbers, aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from twinloop.control.transfer.imported import ImportedModel, ImportedVersion
from twinloop.control.transfer.model import Outcome, Sum
from twinloop.core.digests import digest_json
from twinloop.sdk.transfer.found import FoundModel, FoundVersion, Source
from twinloop.sdk.transfer.mapping import Places
from twinloop.sdk.transfer.report import Line, Tally
from twinloop.sdk.transfer.sink import Sink

_AT = "/api/v1/transfer"
_PROMPT = "mlflow.prompt.is_prompt"
_LOGGED = "models:/"
_STAGES = ("None", "Staging", "Production", "Archived")
_STATUS = ("READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION")
_VERSIONS = 100

Seen = dict[str, Any]


class RegistryCopy:
    """Copies every registered model each time: they are few, and what is here already is kept."""

    def __init__(self, source: Source, sink: Sink, places: Places, writing: bool) -> None:
        self._source = source
        self._sink = sink
        self._places = places
        self._writing = writing
        self._models: list[ImportedModel] = []
        self._versions: list[ImportedVersion] = []

    def copy(self) -> None:
        for found in self._source.models():
            model = _model(found)
            if not self._sendable("models", found.name, model):
                continue
            versions = [
                made
                for version in self._source.versions(found.name)
                if self._sendable(
                    "versions", f"{found.name} {version.number}", made := self._version(model, found, version)
                )
            ]
            live = [version.number for version in versions if not version.deleted]
            # A number that was given to a version deleted since is not given again, but only the last ones can be.
            kept = [v for v in versions if not v.deleted or v.number == max(x.number for x in versions)]
            self._models.append(model)
            self._versions += [version for version in versions if version.number in live]
            if self._writing:
                self._call("models", {"models": [model]})
                for start in range(0, len(kept), _VERSIONS):
                    self._call("versions", {"versions": kept[start : start + _VERSIONS]})

    def compare(self) -> list[Line]:
        """Models, versions and aliases, by what both sides know of them."""
        cards, versions, aliases = self._here()
        tallies = Tally("registered models"), Tally("versions"), Tally("aliases")
        pointing = {(v.title, alias): v.number for v in self._versions for alias in v.aliases}
        there = (
            {m.title: _seen_model(m) for m in self._models},
            {f"{v.title} {v.number}": _seen_version(v) for v in self._versions},
            {f"{title} @{alias}": {"number": number} for (title, alias), number in pointing.items()},
        )
        added = (self._sink.added[name] for name in ("cards", "revisions", "aliases"))
        for tally, mine, theirs in zip(tallies, there, (cards, versions, aliases), strict=True):
            tally.compare(_sums(mine), _sums({name: theirs[name] for name in mine if name in theirs}))
        return [tally.line(count) for tally, count in zip(tallies, added, strict=True)]

    def _here(self) -> tuple[dict[str, Seen], dict[str, Seen], dict[str, Seen]]:
        """The same three as this side has them, for the models of the source."""
        titles = {model.title for model in self._models}
        rows = [row for row in self._sink.rows("cards") if row["title"] in titles and not row["deleted"]]
        by = ("kind", "name")
        keys = [(row["kind"], row["name"]) for row in rows]
        titled = {(row["kind"], row["name"]): row["title"] for row in rows}
        tags: dict[Any, dict[str, str]] = {}
        for tag in self._sink.rows("card_tags", keys):
            tags.setdefault((tag["kind"], tag["name"]), {})[tag["key"]] = tag["value"]
        noted = {(n["kind"], n["name"], n["number"]): n for n in self._sink.rows("notes", keys, by)}
        for tag in self._sink.rows("revision_tags", keys, by):
            tags.setdefault((tag["kind"], tag["name"], tag["number"]), {})[tag["key"]] = tag["value"]
        cards = {row["title"]: {**row, "tags": tags.get((row["kind"], row["name"]), {})} for row in rows}
        versions = {}
        for row in self._sink.rows("revisions", keys):
            key = (row["kind"], row["name"], row["number"])
            created = row["created_ns"] // 1_000_000
            about = {**row, **noted[key], "created_ms": created, "tags": tags.get(key, {})}
            versions[f"{titled[key[:2]]} {row['number']}"] = {name: about[name] for name in _VERSION_SEEN}
        aliases = {
            f"{titled[row['kind'], row['name']]} @{row['alias']}": {"number": row["number"]}
            for row in self._sink.rows("aliases", keys, by)
        }
        return {title: {name: row[name] for name in _MODEL_SEEN} for title, row in cards.items()}, versions, aliases

    def _version(self, model: ImportedModel, found: FoundModel, version: FoundVersion) -> ImportedVersion:
        here = self._places.here(version.source)
        logged = version.source.removeprefix(_LOGGED) if version.source.startswith(f"{_LOGGED}m-") else None
        return ImportedVersion(
            kind=model.kind,
            title=model.title,
            number=version.number,
            created_ms=version.created_ms,
            updated_ms=version.updated_ms,
            created_by=version.user,
            description=version.description,
            stage=version.stage if version.stage in _STAGES else "None",  # type: ignore[arg-type]
            status=version.status if version.status in _STATUS else "READY",  # type: ignore[arg-type]
            source=here or version.source,
            storage=(self._places.model(logged) if logged else None) or here or version.source or None,
            run_id=version.run_id,
            model_id=logged,
            link=version.run_link,
            tags=version.tags,
            aliases=tuple(sorted(alias for alias, number in found.aliases.items() if number == version.number)),
            deleted=version.deleted,
        )

    def _sendable(self, what: str, name: str, made: ImportedModel | ImportedVersion) -> bool:
        try:
            msgspec.json.encode(made)
        except (UnicodeEncodeError, OverflowError):
            shown = name[:200].encode("ascii", "backslashreplace").decode()
            self._sink.refused.append((what, shown, "it holds something that JSON cannot say"))
            return False
        return True

    def _call(self, what: str, body: Mapping[str, Any]) -> None:
        answer = self._sink.client.call("POST", f"{_AT}/{what}", {"origin": self._source.origin, **body})
        self._sink.take(msgspec.convert(answer, Outcome))


_MODEL_SEEN = ("kind", "title", "description", "created_ms", "tags")
_VERSION_SEEN = ("number", "created_ms", "description", "stage", "status", "source", "run_id", "tags", "deleted")


def _model(found: FoundModel) -> ImportedModel:
    return ImportedModel(
        kind="prompt" if found.tags.get(_PROMPT, "").lower() == "true" else "model",
        title=found.name,
        description=found.description,
        created_ms=found.created_ms,
        updated_ms=found.updated_ms,
        tags=found.tags,
    )


def _seen_model(model: ImportedModel) -> Seen:
    return {name: getattr(model, name) for name in _MODEL_SEEN}


def _seen_version(version: ImportedVersion) -> Seen:
    return {name: getattr(version, name) for name in _VERSION_SEEN} | {"source": version.source or None}


def _sums(seen: Mapping[str, Seen]) -> dict[str, Sum]:
    return {name: Sum(1, digest_json(each | _no_text(each))) for name, each in seen.items()}


def _no_text(each: Seen) -> Seen:
    """An empty description is none."""
    return {"description": each["description"] or None} if "description" in each else {}
