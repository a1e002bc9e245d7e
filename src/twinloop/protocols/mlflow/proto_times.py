"""Times and durations as protobuf writes them in JSON; milliseconds here. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from twinloop.core.errors import InvalidInput

_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s\Z")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253_402_300_799_999  # the last millisecond of the year 9999, beyond which there is no RFC 3339


def timestamp(at_ms: int) -> str:
    """RFC 3339 in UTC, with three digits after the second where they are not all zero."""
    seconds, ms = divmod(max(-62_135_596_800_000, min(at_ms, _LATEST_MS)), 1000)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text.zfill(19)}.{ms:03d}Z" if ms else f"{text.zfill(19)}Z"


def duration(ms: int) -> str:
    seconds, rest = divmod(abs(ms), 1000)
    sign = "-" if ms < 0 else ""
    return f"{sign}{seconds}.{rest:03d}s" if rest else f"{sign}{seconds}s"


def parse_timestamp(text: str, name: str) -> int:
    """Raises InvalidInput naming the field."""
    found = _TIME.match(text)
    if found is None:
        raise InvalidInput(
            f"Invalid value {text[:60]!r} for parameter '{name}': write a time as 2026-01-31T12:00:00.5Z."
        )
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as error:
        raise InvalidInput(f"Invalid value {text[:60]!r} for parameter '{name}': {error}.") from error
    return (moment - _EPOCH) // timedelta(seconds=1) * 1000 + _ms(fraction)


def parse_duration(text: str, name: str) -> int:
    """Raises InvalidInput naming the field."""
    found = _DURATION.match(text)
    if found is None:
        raise InvalidInput(f"Invalid value {text[:60]!r} for parameter '{name}': write a duration as 1.234s.")
    value = int(found[2]) * 1000 + _ms(found[3])
    return -value if found[1] else value


def _ms(fraction: str | None) -> int:
    return int((fraction or "0").ljust(3, "0")[:3])
