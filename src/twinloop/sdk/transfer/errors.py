"""What can go wrong in a transfer beyond the general errors."""

from __future__ import annotations

from twinloop.core.errors import InvalidInput, UpstreamError


class SourceUnreadable(UpstreamError):
    """Something the source lists cannot be read."""

    code = "source_unreadable"


class BadFolder(InvalidInput):
    """An exported folder is not whole, or not one that this version can read."""

    code = "bad_folder"
