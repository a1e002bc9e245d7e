"""Keeps secrets out of what is written: traces, logs and errors pass through here first."""

from __future__ import annotations

import re
from typing import Any

_SECRETS = re.compile(
    r"""
      \b(?:tl|sk|pk|rk)-[A-Za-z0-9_-]{16,}            # keys of Twinloop, OpenAI and many others
    | \bAKIA[0-9A-Z]{16}\b                            # AWS access key ids
    | \bgh[pousr]_[A-Za-z0-9]{30,}                    # GitHub tokens
    | \bxox[abprs]-[A-Za-z0-9-]{10,}                  # Slack tokens
    | \bAIza[0-9A-Za-z_-]{35}\b                       # Google API keys
    | \bglpat-[A-Za-z0-9_-]{20,}                      # GitLab tokens
    | \bhf_[A-Za-z0-9]{30,}                           # Hugging Face tokens
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}   # JSON web tokens
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=[Bb]earer\ )[A-Za-z0-9._~+/=-]{16,}         # authorization headers
    """,
    re.VERBOSE | re.DOTALL,
)
_MARKS = (
    *("tl-", "k-", "AKIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    *("xox", "AIza", "glpat-", "hf_", "eyJ", "PRIVATE KEY", "earer "),
)
_MARK_BYTES = tuple(mark.encode() for mark in _MARKS)
MASK = "[redacted]"


def may_hold_secrets(encoded: bytes) -> bool:
    """Whether JSON could hold a secret; False is certain, and far quicker to tell than by walking the values."""
    return any(mark in encoded for mark in _MARK_BYTES)


def redact(value: Any) -> Any:
    """``value`` with every secret in its texts replaced; maps and lists are walked, keys are kept."""
    if isinstance(value, str):
        return _SECRETS.sub(MASK, value) if any(mark in value for mark in _MARKS) else value
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value
