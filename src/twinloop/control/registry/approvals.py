"""Verbs of approval: a second principal says whether a revision may go live."""

from __future__ import annotations

from sqlalchemy import Connection

from twinloop.control.registry import approval_rows, card_rows
from twinloop.control.registry.ledger import Ledger
from twinloop.control.registry.model import Act, Approval, Revision, Standing
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.digests import is_digest
from twinloop.core.errors import InvalidInput, Refused
from twinloop.core.ids import Ref

_COMMENT = 5_000


class Approvals:
    """Keeps what principals say of revisions. Each counts once; a no outweighs every yes until it is taken back."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def approve(self, who: Principal, ref: str, comment: str = "") -> Standing:
        """Say yes to one revision; this also takes back the same principal's no.

        Raises:
            InvalidInput: ``ref`` does not name one revision for ever, by its number or its digest.
            Refused: ``who`` registered the revision.
        """
        return await self._say(who, ref, True, comment)

    async def reject(self, who: Principal, ref: str, comment: str = "") -> Standing:
        """Say no to one revision: it cannot go live until the same principal approves it. Raises like ``approve``."""
        return await self._say(who, ref, False, comment)

    async def of(self, who: Principal, ref: str) -> Standing:
        """Who said what of a revision, and what it still needs. Raises NotFound."""
        who.require(Role.viewer)
        return await self._ledger.read(lambda c: _standing(c, who.tenant, self._ledger.get(c, who.tenant, ref)))

    async def _say(self, who: Principal, ref: str, approved: bool, comment: str) -> Standing:
        who.require(Role.releaser)
        if not is_digest(ref) and Ref.parse(ref).number is None:
            raise InvalidInput(
                f"{ref[:200]} may mean another revision tomorrow. Name one by number, such as model/churn@3, or by digest."
            )
        if len(comment) > _COMMENT:
            raise InvalidInput(f"A comment has at most {_COMMENT} characters.")

        def work(connection: Connection, act: Act) -> Standing:
            revision = self._ledger.get(connection, act.tenant, ref)
            if revision.created_by == who.name:
                raise Refused(_alone(who, revision))
            card = card_rows.of_revision(connection, act.tenant, revision)
            approval_rows.put(connection, act, card, revision, approved, comment)
            return _standing(connection, act.tenant, revision)

        return await self._ledger.write(who, work)


def _standing(connection: Connection, tenant: str, revision: Revision) -> Standing:
    said = approval_rows.of(connection, tenant, revision)
    wanted = card_rows.of_revision(connection, tenant, revision).approvals
    return Standing(revision, wanted, tuple(said), _approved(said, wanted))


def _approved(said: list[Approval], wanted: int) -> bool:
    return all(one.approved for one in said) and len(said) >= wanted


def _alone(who: Principal, revision: Revision) -> str:
    if who.name == LOCAL_ADMIN.name:
        return (
            f"{revision.ref} was registered by {who.name}, and so is every request to a server without keys: there is nobody "
            "else who could approve it. Make keys for two people with: twinloop keys create"
        )
    return f"{who.name} registered {revision.ref} and cannot judge it. Another principal with the role releaser must."
