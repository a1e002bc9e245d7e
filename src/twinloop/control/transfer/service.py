"""Verbs of transfer: put rows as they are, read them by page, and say what they add up to. All of them need an admin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from twinloop.control.artifacts.flags import HEAD, flag_of
from twinloop.control.artifacts.paths import join
from twinloop.control.registry.ports import Kind
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Blobs, Store
from twinloop.control.tracking.experiments import Experiments
from twinloop.control.transfer import others, registry, rows, tracking
from twinloop.control.transfer.deriving import derive
from twinloop.control.transfer.model import Block, Outcome, Page, Refusal, Row, Scope, Sum
from twinloop.control.transfer.shape import Shape
from twinloop.core.digests import Digest, is_digest
from twinloop.core.errors import InvalidInput

SHAPES: dict[str, Shape] = {shape.name: shape for shape in (*tracking.SHAPES, *registry.SHAPES, *others.SHAPES)}
"""Every shape by its name, owners before what they own."""

_ORDER = {name: position for position, name in enumerate(SHAPES)}
_ROWS = 50_000
_SCOPES = 5_000

TakeUp = Callable[[str, Sequence[str]], Awaitable[None]]
"""Lets endpoints answer: of a tenant, those with these names."""


async def _nobody(tenant: str, endpoints: Sequence[str]) -> None:
    pass


class Transfer:
    """Carries rows with the ids, numbers and times they have. What is there is never overwritten."""

    def __init__(self, store: Store, blobs: Blobs, experiments: Experiments, kinds: Mapping[str, Kind]) -> None:
        self._store = store
        self._blobs = blobs
        self._experiments = experiments
        self._kinds = kinds
        self.take_up: TakeUp = _nobody
        """Told of endpoints whose traffic has come in; nobody unless somebody asks to be."""

    async def put(self, who: Principal, blocks: Sequence[Block], derive_from: str = "") -> Outcome:
        """Add rows, in one transaction. A row that is there already is kept as it is; one that cannot be taken is refused.

        With ``derive_from``, the name of a system that knows no lineage, the lineage of runs is made from their rows.

        Raises:
            InvalidInput: a shape is not known, a row has another length than there are columns, or there are too many.
        """
        who.require(Role.admin)
        given = sorted(((_shape(block.shape), block) for block in blocks), key=lambda pair: _ORDER[pair[0].name])
        if sum(len(block.rows) for block in blocks) > _ROWS:
            raise InvalidInput(f"{_ROWS} rows at a time are the most. Send fewer.")
        await self._experiments.ready(who.tenant)
        checked: list[tuple[Shape, list[Row]]] = []
        refused: list[Refusal] = []
        for shape, block in given:
            good, bad = await self._check(shape, block)
            checked.append((shape, good))
            refused += bad
        outcome = await self._store.write(lambda c: _put(c, who.tenant, checked, refused, derive_from))
        if outcome.added.get("traffic"):
            endpoints = [row["endpoint"] for shape, found in checked if shape.name == "traffic" for row in found]
            await self.take_up(who.tenant, endpoints)
        return outcome

    async def page(
        self,
        who: Principal,
        name: str,
        by: Sequence[str] | None,
        scopes: Sequence[Scope] | None,
        after: Sequence[Any] | None,
        limit: int,
    ) -> Page:
        """Rows of one shape by key; of ``scopes``, or of those with these values of the columns ``by``, where given."""
        who.require(Role.admin)
        shape = _shape(name)
        if not 1 <= limit <= _ROWS:
            raise InvalidInput(f"limit must be between 1 and {_ROWS}.")
        if after is not None and len(after) != len(shape.key):
            raise InvalidInput(f"after must have a value for each of: {', '.join(shape.key)}.")
        _check_scopes(shape, by, scopes)
        await self._experiments.ready(who.tenant)
        found = await self._store.read(lambda c: rows.read(c, who.tenant, shape, scopes, after, limit + 1, by))
        shown = found[:limit]
        following = shape.key_of(shown[-1]) if len(found) > limit else None
        return Page(Block(name, list(shape.columns), [list(row.values()) for row in shown]), following)

    async def sums(self, who: Principal, name: str, scopes: Sequence[Scope], without: Sequence[str] = ()) -> list[Sum]:
        """Count and digest of the rows of each scope, over all columns but some."""
        who.require(Role.admin)
        shape = _shape(name)
        _check_scopes(shape, None, scopes)
        found = await self._store.read(lambda c: rows.sums(c, who.tenant, shape, scopes, without))
        return [found.get(tuple(scope), _NOTHING) for scope in scopes]

    async def sizes(self, who: Principal, digests: Sequence[str]) -> dict[str, int]:
        """Size in bytes of those digests that are blobs here."""
        who.require(Role.admin)
        found = {}
        for digest in digests:
            size = await self._blobs.size(Digest(digest)) if is_digest(digest) else None
            if size is not None:
                found[digest] = size
        return found

    async def _check(self, shape: Shape, block: Block) -> tuple[list[Row], list[Refusal]]:
        good: list[Row] = []
        bad: list[Refusal] = []
        read = shape.reading(block.columns)
        if any(len(values) != len(block.columns) for values in block.rows):
            raise InvalidInput(f"A row of {shape.name} has another length than there are columns.")
        for values in block.rows:
            try:
                made = read(values)
                if shape is registry.REVISIONS:
                    self._kind(made["kind"]).validate(made["manifest"])
                if shape is others.ARTIFACTS:
                    made["flag"] = await self._flag(made)
            except InvalidInput as error:
                row = dict(zip(block.columns, values, strict=True))
                bad.append(Refusal(shape.name, [_short(value) for value in shape.key_of(row)], error.message))
            else:
                good.append(made)
        return good, bad

    async def _flag(self, row: Row) -> str | None:
        """Why a file may be unsafe to load, told by its bytes and not by whoever sends the row."""
        digest = Digest(row["digest"])
        if await self._blobs.size(digest) != row["size"]:
            raise InvalidInput(f"Its bytes are not here: there is no blob {digest} of its size.")
        head = b"".join([chunk async for chunk in self._blobs.open(digest, 0, HEAD)])
        return flag_of(join(row["folder"], row["name"]), head)

    def _kind(self, name: str) -> Kind:
        if name not in self._kinds:
            raise InvalidInput(f"There is no kind {name} here.")
        return self._kinds[name]


_NOTHING = Sum(0, "")


def _put(
    connection: Connection,
    tenant: str,
    given: Sequence[tuple[Shape, list[Row]]],
    refused: Sequence[Refusal],
    derive_from: str,
) -> Outcome:
    outcome = Outcome({}, {}, list(refused))
    all_taken: dict[str, list[Row]] = {}
    for shape, found in given:
        said = _orphans(connection, tenant, shape, found)
        if shape.admit is not None:
            admitted = iter(shape.admit(connection, tenant, [r for r, why in zip(found, said, strict=True) if not why]))
            said = [why or next(admitted) for why in said]
        for row, why in zip(found, said, strict=True):
            if why:
                outcome.refused.append(Refusal(shape.name, shape.key_of(row), why))
        taken = [row for row, why in zip(found, said, strict=True) if not why]
        added = _insert(connection, tenant, shape, taken, outcome.refused)
        outcome.added[shape.name] = outcome.added.get(shape.name, 0) + added
        outcome.kept[shape.name] = outcome.kept.get(shape.name, 0) + len(taken) - added
        all_taken.setdefault(shape.name, []).extend(taken)
    if derive_from:
        derive(connection, tenant, derive_from, all_taken)
    return outcome


def _insert(connection: Connection, tenant: str, shape: Shape, taken: list[Row], refused: list[Refusal]) -> int:
    """Add rows at once, or, when one of them is in the way of what is here, one by one."""
    try:
        with connection.begin_nested():
            return rows.insert(connection, tenant, shape, taken)
    except IntegrityError:
        pass
    added = 0
    for row in list(taken):
        try:
            with connection.begin_nested():
                added += rows.insert(connection, tenant, shape, [row])
        except IntegrityError:
            taken.remove(row)
            refused.append(Refusal(shape.name, shape.key_of(row), "something else here has what must be its own"))
    return added


def _orphans(connection: Connection, tenant: str, shape: Shape, found: Sequence[Row]) -> list[str | None]:
    """Why rows cannot be taken whose owner is not there, or was refused itself."""
    said: list[str | None] = [None] * len(found)
    for columns, owner, owned_by in shape.needs:
        wanted = [tuple(row[name] for name in columns) for row in found]
        asked = [scope for scope in wanted if None not in scope]
        there = rows.present(connection, tenant, SHAPES[owner], owned_by, asked)
        what = owner.removesuffix("s").replace("_", " ")
        for index, scope in enumerate(wanted):
            if None not in scope and scope not in there:
                said[index] = f"its {what} {'/'.join(map(str, scope))} is not here"
    return said


def _shape(name: str) -> Shape:
    if name not in SHAPES:
        raise InvalidInput(f"{name[:60]!r} is nothing that is carried. It is one of: {', '.join(SHAPES)}.")
    return SHAPES[name]


def _check_scopes(shape: Shape, by: Sequence[str] | None, scopes: Sequence[Scope] | None) -> None:
    columns = tuple(by) if by else shape.scope
    if columns != shape.scope and columns not in shape.lookups:
        raise InvalidInput(f"Rows of {shape.name} are not found by {', '.join(columns)[:100]}.")
    if scopes is not None and (len(scopes) > _SCOPES or any(len(scope) != len(columns) for scope in scopes)):
        raise InvalidInput(f"Give at most {_SCOPES} values for each of: {', '.join(columns)}.")


def _short(value: Any) -> Any:
    return value[:120] if isinstance(value, str) else value
