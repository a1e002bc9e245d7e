from __future__ import annotations

import pytest

from twinloop.backends.openai_http.sse import EventReader
from twinloop.core.errors import UpstreamError


def read(*pieces: bytes) -> list[bytes]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_events_end_at_an_empty_line() -> None:
    assert read(b"data: one\n\ndata: two\n\ndata: unfinished\n") == [b"one", b"two"]


@pytest.mark.parametrize("size", range(1, 12))
def test_pieces_may_be_cut_anywhere(size: int) -> None:
    body = 'data: {"é": 1}\r\n\r\n: ping\n\ndata: two\n\n'.encode()
    assert read(*(body[at : at + size] for at in range(0, len(body), size))) == ['{"é": 1}'.encode(), b"two"]


def test_several_data_lines_are_one_event() -> None:
    assert read(b"event: x\nid: 3\ndata: one\ndata:two\n\n") == [b"one\ntwo"]


def test_an_endless_event_is_given_up() -> None:
    with pytest.raises(UpstreamError, match="8 MiB"):
        read(*(b"x" * (1 << 20) for _ in range(9)))
