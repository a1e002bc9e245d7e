"""What the parser's process and its parent say to each other: MessagePack, each message behind its length."""

from __future__ import annotations

import struct

import msgspec

from twinloop.llm.documents.model import Parsed

LENGTH = struct.Struct(">I")


class Job(msgspec.Struct, frozen=True):
    file: str
    media_type: str
    name: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    parsed: Parsed


class Declined(msgspec.Struct, frozen=True, tag="declined"):
    reason: str


Outcome = Done | Declined

encode = msgspec.msgpack.Encoder().encode
decode_job = msgspec.msgpack.Decoder(Job).decode
decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
