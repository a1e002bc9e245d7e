"""Handlers of ``scorers/…``."""

from __future__ import annotations

from typing import Any

from twinloop.control.evaluation.scorers.model import Schedule, Scorer
from twinloop.control.evaluation.scorers.service import Scorers
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import scorers_wire as wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.translate import integer, number

Json = dict[str, Any]
_PATH = "/api/3.0/mlflow/scorers"


class ScorerHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, scorers: Scorers) -> None:
        self._scorers = scorers

    async def register(self, call: Call) -> Json:
        """Keep a scorer under the next version of its name."""
        request = await read(call, wire.Register)
        made = await self._scorers.register(call.who, request.experiment_id, request.name, request.serialized_scorer)
        return {
            "version": made.version,
            "scorer_id": made.id,
            "experiment_id": made.experiment_id,
            "name": made.name,
            "serialized_scorer": made.body,
            "creation_time": made.created_ms,
        }

    async def listing(self, call: Call) -> Json:
        """The newest version of every scorer of one experiment, of several, or of all."""
        request = await read(call, wire.Listing)
        if request.experiment_id and request.experiment_ids is not None:
            raise InvalidInput("Cannot specify both 'experiment_id' and 'experiment_ids'. Give one of them.")
        if request.experiment_id:
            found = await self._scorers.newest(call.who, request.experiment_id)
        else:
            found = await self._scorers.everywhere(call.who, request.experiment_ids)
        return {"scorers": [scorer_json(scorer) for scorer in found]}

    async def versions(self, call: Call) -> Json:
        """Every version of a scorer."""
        request = await read(call, wire.Named)
        found = await self._scorers.versions(call.who, request.experiment_id, request.name)
        return {"scorers": [scorer_json(scorer) for scorer in found]}

    async def get(self, call: Call) -> Json:
        """One version of a scorer, or its newest."""
        request = await read(call, wire.Versioned)
        found = await self._scorers.get(call.who, request.experiment_id, request.name, _version(request))
        return {"scorer": scorer_json(found)}

    async def delete(self, call: Call) -> Json:
        """Delete one version of a scorer, or all."""
        request = await read(call, wire.Versioned)
        await self._scorers.delete(call.who, request.experiment_id, request.name, _version(request))
        return {}

    async def schedule(self, call: Call) -> Json:
        """Say which share of an experiment's traces a scorer is meant to judge."""
        request = await read(call, wire.Schedule)
        rate = number(request.sample_rate, "sample_rate")
        made = await self._scorers.schedule(
            call.who, request.experiment_id, request.name, rate, request.filter_string or None
        )
        return {"config": schedule_json(made)}

    async def schedules(self, call: Call) -> Json:
        """What was said so of several scorers."""
        request = await read(call, wire.Schedules)
        found = await self._scorers.schedules(call.who, request.scorer_ids)
        return {"configs": [schedule_json(schedule) for schedule in found]}


def _version(request: wire.Versioned) -> int | None:
    return None if request.version is None else integer(request.version, "version")


def scorer_json(scorer: Scorer) -> Json:
    return {
        "experiment_id": int(scorer.experiment_id),
        "scorer_name": scorer.name,
        "scorer_version": scorer.version,
        "serialized_scorer": scorer.body,
        "creation_time": scorer.created_ms,
        "scorer_id": scorer.id,
    }


def schedule_json(schedule: Schedule) -> Json:
    return {
        "online_scoring_config_id": schedule.id,
        "scorer_id": schedule.scorer_id,
        "sample_rate": schedule.sample_rate,
        "experiment_id": schedule.experiment_id,
        "filter_string": schedule.filter,
    }


def endpoints(scorers: Scorers) -> list[Endpoint]:
    """What MLflow offers on scorers."""
    handlers = ScorerHandlers(scorers)
    return [
        Endpoint("POST", f"{_PATH}/register", handlers.register),
        Endpoint("GET", f"{_PATH}/list", handlers.listing),
        Endpoint("GET", f"{_PATH}/versions", handlers.versions),
        Endpoint("GET", f"{_PATH}/get", handlers.get),
        Endpoint("DELETE", f"{_PATH}/delete", handlers.delete),
        Endpoint("PUT", f"{_PATH}/online-config", handlers.schedule),
        Endpoint("GET", f"{_PATH}/online-configs", handlers.schedules),
    ]
