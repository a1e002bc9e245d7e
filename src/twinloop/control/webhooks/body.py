"""What travels: a JSON body and the headers that sign it.

Both have the form of MLflow's webhooks, so that receivers written for those need no change. The signature is over
``id.timestamp.body`` (HMAC with SHA-256), as in the Standard Webhooks specification.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec

from twinloop.control.security.redaction import redact
from twinloop.control.webhooks.model import Message
from twinloop.core.clock import iso

DELIVERY_ID = "X-MLflow-Delivery-Id"
TIMESTAMP = "X-MLflow-Timestamp"
SIGNATURE = "X-MLflow-Signature"

_VERSION = "v1"


def encode(message: Message, at_ns: int) -> bytes:
    """The body that tells ``message``, without what looks like a secret. It is made once: every attempt sends the same."""
    entity, _, action = message.event.partition(".")
    data = redact(message.data)
    return msgspec.json.encode({"entity": entity, "action": action, "timestamp": iso(at_ns), "data": data})


def headers(delivery_id: str, now_ns: int, body: bytes, secret: str | None) -> dict[str, str]:
    """The headers of one attempt. Its time is that of the attempt, so that a receiver may refuse old ones."""
    stamp = str(now_ns // 1_000_000_000)
    found = {"Content-Type": "application/json", DELIVERY_ID: delivery_id, TIMESTAMP: stamp}
    if secret:
        found[SIGNATURE] = sign(secret, delivery_id, stamp, body)
    return found


def sign(secret: str, delivery_id: str, stamp: str, body: bytes) -> str:
    """``v1,`` and the signature in base64."""
    signed = b".".join((delivery_id.encode(), stamp.encode(), body))
    return f"{_VERSION},{base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()}"
