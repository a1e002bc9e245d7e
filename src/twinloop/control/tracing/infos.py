"""Verbs on what is known of traces, in the terms of MLflow's clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, func, select

from twinloop.control.search.page import Page
from twinloop.control.search.reader import Clause
from twinloop.control.security.model import Principal, Role
from twinloop.control.security.redaction import may_hold_secrets, redact
from twinloop.control.store.ports import Store
from twinloop.control.tracing import grammar, info_rows, repository
from twinloop.control.tracing.assessments import masked
from twinloop.control.tracing.correlation import Correlation, Counts, correlation
from twinloop.control.tracing.info import MODEL_ID, SESSION, SOURCE_RUN, TraceInfo, Whole, check_moment, client_id
from twinloop.control.tracing.model import Trace, TraceLink
from twinloop.control.tracing.ports import Experiment, Experiments, LinkWriter
from twinloop.control.tracing.search import Search
from twinloop.control.tracing.tables import traces
from twinloop.control.tracing.tags import LOCATION, NAME, VALUE_LIMIT, check_key, check_lengths
from twinloop.core.errors import InvalidInput, NotFound

PAGE = 500
LINKS = 100
_MOST = 50_000


class TraceInfos:
    """Starts, finds, tags, links and deletes traces. Secrets are masked before anything is written."""

    def __init__(
        self, store: Store, experiments: Experiments, links: LinkWriter, flush: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._experiments = experiments
        self._links = links
        self._flush = flush
        self._locations: dict[tuple[str, int], str] = {}

    async def start(self, who: Principal, told: TraceInfo, final: bool = True) -> TraceInfo:
        """Write what a client says of a trace; its spans may have come before or come later.

        Raises:
            NotFound: there is no such experiment.
            InvalidInput: the experiment is deleted, the time is none, or the name or the session is too long.
        """
        who.require(Role.developer)
        check_moment(told.request_ms)
        check_lengths(told.tags.get(NAME), told.metadata.get(SESSION))
        await self.check(who, str(told.experiment), active=True)
        clean = _masked(told)

        def work(connection: Connection) -> TraceInfo:
            info_rows.start(connection, who.tenant, clean, who.name, final)
            self._link(connection, who.tenant, clean.trace_id, clean.metadata)
            return info_rows.get(connection, who.tenant, clean.trace_id)

        return await self._placed(who, await self._store.write(work))

    async def end(
        self,
        who: Principal,
        key: str,
        at_ms: int,
        status: str,
        metadata: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> TraceInfo:
        """What MLflow's second version of traces said at their end. Raises NotFound, and InvalidInput as ``start``."""
        who.require(Role.developer)
        check_moment(at_ms)
        check_lengths(tags.get(NAME), metadata.get(SESSION))

        def work(connection: Connection) -> TraceInfo:
            info_rows.end(connection, who.tenant, key, at_ms, status)
            info_rows.put_metadata(connection, who.tenant, key, redact(dict(metadata)))
            for name, value in redact(dict(tags)).items():
                info_rows.set_tag(connection, who.tenant, key, name, value)
            self._link(connection, who.tenant, key, metadata)
            return info_rows.get(connection, who.tenant, key)

        return await self._placed(who, await self._store.write(work))

    async def get(self, who: Principal, key: str) -> TraceInfo:
        """Raises NotFound."""
        who.require(Role.viewer)
        await self._flush()
        return await self._placed(who, await self._store.read(lambda c: info_rows.get(c, who.tenant, key)))

    async def many(
        self, who: Principal, keys: Sequence[str], experiments: Sequence[int] | None = None
    ) -> list[TraceInfo]:
        """Those that are there, in the order asked for."""
        who.require(Role.viewer)
        await self._flush()
        found = await self._store.read(lambda c: info_rows.many(c, who.tenant, keys, experiments))
        return [await self._placed(who, item) for item in found]

    async def whole(self, who: Principal, key: str) -> Whole:
        """A trace with its spans. Raises NotFound."""
        who.require(Role.viewer)
        await self._flush()

        def work(connection: Connection) -> Whole:
            info = info_rows.get(connection, who.tenant, key)
            return Whole(info, repository.spans_of(connection, who.tenant, [key]).get(key, ()))

        found = await self._store.read(work)
        return Whole(await self._placed(who, found.info), found.spans)

    async def wholes(
        self, who: Principal, keys: Sequence[str], experiments: Sequence[int] | None = None
    ) -> list[Whole]:
        """Those that are there, with their spans, in the order asked for."""
        infos = await self.many(who, keys, experiments)
        found = await self._store.read(
            lambda c: repository.spans_of(c, who.tenant, [info.trace_id for info in infos if info.spans])
        )
        return [Whole(info, found.get(info.trace_id, ())) for info in infos]

    async def search(
        self,
        who: Principal,
        experiments: Sequence[int],
        filter: str = "",
        order: Sequence[str] = (),
        limit: int = 100,
        token: str | None = None,
    ) -> Page[TraceInfo]:
        """Newest first unless ``order`` says otherwise. Raises InvalidInput for what is not of the grammar."""
        who.require(Role.viewer)
        if not 1 <= limit <= _MOST:
            raise InvalidInput(
                f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer and at most {_MOST}."
            )
        clauses, orders = grammar.parse_filter(filter), grammar.parse_order(order)
        await self._flush()

        def work(connection: Connection) -> Page[TraceInfo]:
            search = Search(who.tenant, connection.dialect.name, orders)
            rows = connection.execute(search.page(clauses, experiments, limit + 1, token)).all()
            following = search.token(rows[limit - 1]) if len(rows) > limit else None
            return Page(tuple(info_rows.of_rows(connection, who.tenant, rows[:limit])), following)

        page = await self._store.read(work)
        return Page(tuple([await self._placed(who, item) for item in page.items]), page.next)

    async def correlate(
        self, who: Principal, experiments: Sequence[int], first: str, second: str, base: str = ""
    ) -> Correlation:
        """How strongly two filters go together among the traces that ``base`` fits."""
        who.require(Role.viewer)
        shared = grammar.parse_filter(base)
        one, other = grammar.parse_filter(first), grammar.parse_filter(second)
        await self._flush()

        def work(connection: Connection) -> Counts:
            search = Search(who.tenant, connection.dialect.name)

            def count(*filters: tuple[Clause, ...]) -> int:
                # Clauses on spans of one filter must fit one span, those of two filters need not: they stay apart.
                conditions = [c for clauses in filters for c in search.conditions(clauses, experiments)]
                return int(connection.execute(select(func.count()).select_from(traces).where(*conditions)).scalar_one())

            both = (shared + one, shared + other)
            return Counts(count(shared), count(both[0]), count(both[1]), count(*both))

        return correlation(await self._store.read(work))

    async def set_tag(self, who: Principal, key: str, name: str, value: str) -> None:
        """A value over 8,000 characters is cut. Raises NotFound, and InvalidInput when the name cannot be one.

        The trace's own name is not cut but refused when it is too long.
        """
        who.require(Role.developer)
        check_lengths(value if name == NAME else None)
        clean = redact(value[:VALUE_LIMIT])
        check_key(name)
        await self._store.write(lambda c: info_rows.set_tag(c, who.tenant, key, name, clean))

    async def delete_tag(self, who: Principal, key: str, name: str) -> None:
        """Raises NotFound when there is no such tag."""
        who.require(Role.developer)
        await self._store.write(lambda c: info_rows.delete_tag(c, who.tenant, key, name))

    async def delete(
        self,
        who: Principal,
        experiment: str,
        keys: Sequence[str] = (),
        until_ms: int | None = None,
        limit: int | None = None,
    ) -> int:
        """Delete traces of an experiment: those of ``keys``, or at most ``limit`` begun up to ``until_ms``, the oldest first.

        Returns how many were deleted.
        """
        who.require(Role.developer)
        if until_ms is None and not keys:
            raise InvalidInput("Either `max_timestamp_millis` or `trace_ids` must be specified.")
        if until_ms is not None and keys:
            raise InvalidInput("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
        if keys and limit is not None:
            raise InvalidInput("`max_traces` can't be specified if `trace_ids` is specified.")
        if limit is not None and limit <= 0:
            raise InvalidInput(f"`max_traces` must be a positive integer, received {limit}.")
        number = numbers([experiment])[0]
        await self._flush()

        def work(connection: Connection) -> int:
            chosen = info_rows.oldest(
                connection, who.tenant, number, list(dict.fromkeys(keys)) or None, until_ms, limit
            )
            return info_rows.remove(connection, who.tenant, chosen)

        return await self._store.write(work)

    async def link_run(self, who: Principal, keys: Sequence[str], run: str) -> None:
        """Say that traces belong to a run. Raises InvalidInput for more than 100 at once."""
        who.require(Role.developer)
        if len(keys) > LINKS:
            raise InvalidInput(
                f"Cannot link more than {LINKS} traces to a run in a single request. Provided {len(keys)} traces."
            )
        await self._flush()

        def work(connection: Connection) -> None:
            info_rows.link_run(connection, who.tenant, keys, run)
            for info in info_rows.many(connection, who.tenant, keys, None):
                self._lineage(connection, who.tenant, info, [TraceLink("part_of_run", f"run:{run}")])

        await self._store.write(work)

    async def link_prompts(
        self, who: Principal, key: str, prompts: Iterable[str], parents: Sequence[TraceLink] = ()
    ) -> None:
        """Say which prompts, written ``name/version``, a trace used. Raises NotFound."""
        who.require(Role.developer)
        await self._flush()

        def work(connection: Connection) -> None:
            info_rows.link_prompts(connection, who.tenant, key, prompts)
            if parents:
                self._lineage(connection, who.tenant, info_rows.get(connection, who.tenant, key), parents)

        await self._store.write(work)

    async def experiment(self, who: Principal, id: str) -> int:
        """The number of an experiment that is there, deleted or not. Raises NotFound."""
        number = numbers([id])[0]
        if await self._location(who, number) is None:
            raise NotFound(f"No Experiment with id={number} exists. Make it first, or send traces to another.")
        return number

    async def check(self, who: Principal, experiment: str, active: bool = False) -> Experiment:
        """The experiment of this id. Raises NotFound, and InvalidInput when it is deleted and must be ``active``."""
        found = await self._experiments.get(who, experiment)
        if active and found.lifecycle != "active":
            raise InvalidInput(
                f"The experiment {experiment} must be in the 'active' state. Current state is {found.lifecycle}. Restore it."
            )
        return found

    def _link(self, connection: Connection, tenant: str, key: str, metadata: Mapping[str, str]) -> None:
        links = []
        if metadata.get(SOURCE_RUN):
            links.append(TraceLink("part_of_run", f"run:{metadata[SOURCE_RUN]}"))
        if metadata.get(MODEL_ID):
            links.append(TraceLink("answered_by", f"logged_model:{metadata[MODEL_ID]}"))
        if links:
            self._lineage(connection, tenant, info_rows.get(connection, tenant, key), links)

    def _lineage(self, connection: Connection, tenant: str, info: TraceInfo, links: Sequence[TraceLink]) -> None:
        """Traces are nodes of the lineage once they belong to something."""
        start_ns = info.request_ms * 1_000_000
        name = info.tags.get(NAME) or client_id(info.trace_id)
        trace = Trace(info.trace_id, name, start_ns, start_ns, "ok", "mlflow", "", links=tuple(links))
        self._links(connection, tenant, [trace])

    async def _placed(self, who: Principal, info: TraceInfo) -> TraceInfo:
        """With the place of its files among the tags, and without the tags that were removed."""
        tags = {key: value for key, value in info.tags.items() if value is not None}
        if tags.get(LOCATION) == "":
            root = await self._location(who, info.experiment)
            if root is None:
                del tags[LOCATION]
            else:
                tags[LOCATION] = f"{root.rstrip('/')}/traces/{client_id(info.trace_id)}/artifacts"
        return msgspec.structs.replace(info, tags=tags)

    async def _location(self, who: Principal, experiment: int) -> str | None:
        """Where an experiment keeps its files; it never moves, so it is asked for once."""
        known = self._locations.get((who.tenant, experiment))
        if known is None:
            try:
                known = (await self._experiments.get(who, str(experiment))).artifact_location
            except NotFound:
                return None
            self._locations[who.tenant, experiment] = known
        return known


def numbers(experiment_ids: Iterable[str]) -> list[int]:
    """Ids of experiments as numbers, which may be some that no experiment has. Raises InvalidInput."""
    found = []
    for id in experiment_ids:
        digits = id.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise InvalidInput(f"Invalid experiment ID '{id[:60]}'. Experiment ID must be a valid integer.")
        found.append(int(id))
    return found


def _masked(told: TraceInfo) -> TraceInfo:
    if not may_hold_secrets(msgspec.json.encode(told)):
        return told
    return msgspec.structs.replace(
        told,
        request_preview=redact(told.request_preview),
        response_preview=redact(told.response_preview),
        tags=redact(told.tags),
        metadata=redact(told.metadata),
        assessments=tuple(masked(said) for said in told.assessments),
    )
