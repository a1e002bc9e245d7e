"""Applies operations of a journal inside one transaction. One that cannot be applied is put aside and spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError

from twinloop.control.artifacts import repository as artifact_rows
from twinloop.control.artifacts.flags import flag_of
from twinloop.control.artifacts.model import Artifact as Kept
from twinloop.control.artifacts.paths import check_path, place_of
from twinloop.control.lineage import repository as lineage
from twinloop.control.lineage.model import Link
from twinloop.control.security.model import Principal
from twinloop.control.tracking import experiment_rows, model_rows, points, repository
from twinloop.control.tracking.beginning import begin_model, begin_run
from twinloop.control.tracking.errors import ParamChanged
from twinloop.control.tracking.inputs import put_inputs, put_models_made
from twinloop.control.tracking.locations import below
from twinloop.control.tracking.logged_models import check_model_name, check_model_pairs
from twinloop.control.tracking.model import (
    PARENT_TAG,
    RUN_NAME_TAG,
    Metric,
    run_node,
)
from twinloop.control.tracking.names import (
    PARAM_LIMIT,
    TAG_LIMIT,
    check_experiment_name,
    check_pairs,
    random_name,
)
from twinloop.control.tracking.replay.checking import check_model_id, check_run_id, input_of, metrics_of, moment
from twinloop.control.tracking.replay.operations import (
    Artifact,
    Damaged,
    Finish,
    Log,
    Model,
    ModelChange,
    Operation,
    Params,
    Produce,
    Read,
    Start,
    Tags,
    Use,
)
from twinloop.control.tracking.replay.repository import Rejection
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput, NotFound, TwinloopError

_NS = 1_000_000
_MESSAGE = 1000
_UNFIT = (DataError, IntegrityError, InterfaceError, OverflowError, ValueError)
"""What a database says of a value it cannot hold; any other trouble is not the value's fault, and fails the whole batch."""

Resolve = Callable[[Connection, str, str], Digest | None]
"""The digest of the revision that a reference means in a tenant; None when there is none."""


class Stored(msgspec.Struct, frozen=True):
    """A blob that an artifact may name: its size in bytes, and the first of them."""

    size: int
    head: bytes


class Applying:
    """One batch on its way into the store. Make it anew for every attempt at the transaction."""

    def __init__(
        self, connection: Connection, who: Principal, now_ms: int, resolve: Resolve, stored: Mapping[str, Stored]
    ) -> None:
        self.rejected: list[Rejection] = []
        self._connection = connection
        self._who = who
        self._tenant = who.tenant
        self._now_ms = now_ms
        self._resolve = resolve
        self._stored = stored
        self._waiting: dict[str, list[tuple[int, Log]]] = {}

    def apply(self, sequence: int, operation: Operation) -> None:
        """Points of one run are gathered until something else happens to that run, and added together."""
        if isinstance(operation, Log):
            self._waiting.setdefault(operation.run, []).append((sequence, operation))
            return
        self._add_points(operation.run)
        self._try(sequence, operation.run, lambda: self._one(operation))

    def finish(self) -> None:
        """Add what is still gathered."""
        for run in list(self._waiting):
            self._add_points(run)

    def _add_points(self, run: str) -> None:
        checked: list[tuple[int, list[Metric]]] = []
        for sequence, log in self._waiting.pop(run, ()):
            try:
                checked.append((sequence, metrics_of(log)))
            except TwinloopError as error:
                self._reject(sequence, run, error.message)
        if not checked:
            return
        try:
            with self._connection.begin_nested():
                self._append(run, [point for _, found in checked for point in found])
        except (TwinloopError, *_UNFIT):
            for sequence, found in checked:
                self._try(sequence, run, partial(self._append, run, found))

    def _append(self, run: str, found: Sequence[Metric]) -> None:
        repository.require_active(self._connection, self._tenant, run)
        points.append(self._connection, self._tenant, run, found)

    def _try(self, sequence: int, run: str, work: Callable[[], str | None]) -> None:
        """Do ``work`` or leave no trace of it; what it returns is a complaint about a part of it."""
        try:
            with self._connection.begin_nested():
                complaint = work()
        except TwinloopError as error:
            complaint = error.message
        except _UNFIT as error:
            complaint = f"The database cannot hold it ({type(error).__name__})."
        if complaint:
            self._reject(sequence, run, complaint)

    def _reject(self, sequence: int, run: str, message: str) -> None:
        self.rejected.append(Rejection(sequence, run[:64], message[:_MESSAGE]))

    def _one(self, operation: Operation) -> str | None:
        connection, tenant, run = self._connection, self._tenant, operation.run
        match operation:
            case Start():
                self._start(operation)
                return None
            case Damaged():
                raise InvalidInput(operation.why or "The operation cannot be read.")
        repository.require_active(connection, tenant, run)
        match operation:
            case Params():
                return self._params(run, operation.params)
            case Tags():
                self._tags(run, operation.tags)
            case Use():
                used = Link(operation.role, self._revision(operation.ref))
                lineage.add_links(connection, tenant, run_node(run), [used], self._now_ms * _NS)
            case Produce():
                made = Link("produced_by", run_node(run))
                lineage.add_links(connection, tenant, self._revision(operation.ref), [made], self._now_ms * _NS)
            case Read():
                put_inputs(connection, tenant, run, [input_of(operation)], self._now_ms * _NS)
            case Model():
                self._model(operation)
            case ModelChange():
                self._change_model(operation)
            case Artifact():
                self._artifact(operation)
            case Finish():
                repository.end(connection, tenant, run, operation.status, moment(operation.at))
        return None

    def _start(self, start: Start) -> None:
        tags = start.tags | ({PARENT_TAG: start.parent} if start.parent else {})
        check_pairs(tags, "tag", TAG_LIMIT)
        if repository.lifecycle(self._connection, self._tenant, start.run) is None:
            self._begin(start, tags)
        else:
            repository.require_active(self._connection, self._tenant, start.run)
        resumed = start.resume and not start.joined
        if resumed and repository.reopen(self._connection, self._tenant, start.run, moment(start.at)):
            repository.put_tags(self._connection, self._tenant, start.run, tags)

    def _begin(self, start: Start, tags: dict[str, str]) -> None:
        name = start.name or random_name()
        all_tags = {**tags, RUN_NAME_TAG: name}
        check_pairs(all_tags, "tag", TAG_LIMIT)
        begin_run(
            self._connection,
            self._who,
            self._experiment(start.experiment),
            check_run_id(start.run),
            name=name,
            user=start.user,
            started_ms=moment(start.at),
            tags=all_tags,
            links=[Link("part_of", run_node(start.within))] if start.within else [],
        )

    def _experiment(self, name: str) -> experiment_rows.Place:
        """The place of the experiment of this name, which is made if there is none."""
        experiment_rows.ensure_default(self._connection, self._tenant, self._now_ms)
        found = experiment_rows.by_name(self._connection, self._tenant, check_experiment_name(name))
        if found is None:
            found = experiment_rows.add(self._connection, self._tenant, name, None, {}, self._now_ms)
        return experiment_rows.require_active(self._connection, self._tenant, found.id)

    def _params(self, run: str, params: dict[str, str]) -> str | None:
        """Params that are new are kept even when another one of the same call would change."""
        check_pairs(params, "param", PARAM_LIMIT)
        complaints = []
        for part in [params] if len(params) == 1 else [params, *({key: value} for key, value in params.items())]:
            try:
                repository.put_params(self._connection, self._tenant, run, part)
            except ParamChanged as error:
                complaints.append(error.message)
                continue
            if part is params:
                return None
        return " ".join(dict.fromkeys(complaints))

    def _tags(self, run: str, tags: dict[str, str | None]) -> None:
        kept = {key: value for key, value in tags.items() if value is not None}
        check_pairs(kept, "tag", TAG_LIMIT)
        if kept:
            repository.put_tags(self._connection, self._tenant, run, kept)
        for key in tags.keys() - kept.keys():
            with suppress(NotFound):
                repository.remove_tag(self._connection, self._tenant, run, key)

    def _artifact(self, operation: Artifact) -> None:
        stored = self._stored.get(operation.digest)
        if stored is None:
            raise NotFound(f"The bytes of {operation.path} have not arrived. Log the artifact again.")
        path = check_path(f"{self._folder(operation)}/{check_path(operation.path)}")
        made = Kept(path, stored.size, Digest(operation.digest), False, self._now_ms, flag_of(path, stored.head))
        artifact_rows.put(self._connection, self._tenant, made)

    def _folder(self, operation: Artifact) -> str:
        """Where the files of a run lie, or those of a model that it logged, which may not be known here yet."""
        run = repository.place(self._connection, self._tenant, operation.run)
        if operation.model is None:
            return place_of(run.artifact_uri)
        place = experiment_rows.require_active(self._connection, self._tenant, str(run.experiment))
        return place_of(below(place.artifact_location, "models", check_model_id(operation.model), "artifacts"))

    def _model(self, model: Model) -> None:
        run = repository.place(self._connection, self._tenant, model.run)
        check_model_pairs(model.params)
        check_model_pairs(model.tags)
        begin_model(
            self._connection,
            self._tenant,
            experiment_rows.require_active(self._connection, self._tenant, str(run.experiment)),
            check_model_id(model.model),
            name=check_model_name(model.name),
            type=model.type,
            run_id=model.run,
            at_ns=moment(model.at) * _NS,
            params=model.params,
            tags=model.tags,
        )

    def _change_model(self, change: ModelChange) -> None:
        connection, tenant = self._connection, self._tenant
        kept = {key: value for key, value in change.tags.items() if value is not None}
        model_rows.require(connection, tenant, change.model)
        check_model_pairs(change.params)
        check_model_pairs(kept)
        model_rows.put_params(connection, tenant, change.model, change.params)
        model_rows.put_tags(connection, tenant, change.model, kept)
        for key in change.tags.keys() - kept.keys():
            with suppress(NotFound):
                model_rows.remove_tag(connection, tenant, change.model, key)
        if change.step is not None:
            put_models_made(connection, tenant, change.run, [(change.model, change.step)], self._now_ms * _NS)
        if change.status is not None:
            model_rows.finalize(connection, tenant, change.model, change.status, moment(change.at))

    def _revision(self, ref: str) -> Digest:
        found = self._resolve(self._connection, self._tenant, ref)
        if found is None:
            raise NotFound(f"There is no revision {ref[:200]}. Register it, then say so again with client.runs.")
        return found
