"""What can go wrong in tracking beyond the general errors."""

from __future__ import annotations

from twinloop.core.errors import Conflict, InvalidInput


class ParamChanged(InvalidInput):
    """A param has a value already; params never change."""

    def __init__(self, run_id: str, key: str, old: str, new: str) -> None:
        super().__init__(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for run "
            f"ID='{run_id}'. Attempted logging new value '{new}'. Log it under another key, or start another run."
        )


class NotActive(InvalidInput):
    """A deleted experiment or run takes no changes."""

    def __init__(self, what: str, id: str, refused: str = "") -> None:
        super().__init__(
            f"{refused}The {what} {id} must be in the 'active' state. Current state is deleted. Restore it first."
        )


class ReplayGap(Conflict):
    """Operations of a journal are missing before those that were sent."""

    code = "replay_gap"

    def __init__(self, spool: str, last: int, first: int) -> None:
        super().__init__(
            f"The journal {spool} has been replayed up to {last}, and {first} is not the next one. Send it from {last + 1}."
        )
