"""Which model formats are data and which are programs. See docs/decisions/0005-safe-model-formats.md."""

from __future__ import annotations

from twinloop.core.errors import InvalidInput, Refused

SAFE = ("xgboost-ubj", "xgboost-json", "onnx", "constant")
"""Formats that only describe a model; a loader reads them without running anything they say."""

UNSAFE = ("pickle", "cloudpickle", "joblib", "torch", "keras-lambda")
"""Formats that run code of the file's choosing when they are loaded."""

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def check_format(format: str) -> bool:
    """Say whether ``format`` is safe. Raises InvalidInput for one that is not known at all."""
    if format in SAFE:
        return True
    if format in UNSAFE:
        return False
    raise InvalidInput(f"{format[:40]!r} is not a model format. Use one of: {', '.join(SAFE)}.")


def check_content(format: str, path: str, head: bytes) -> None:
    """Raise InvalidInput when a file that is said to be safe begins like a pickle or a zip archive."""
    if head.startswith((_PICKLE, _ZIP)):
        raise InvalidInput(
            f"{path} begins like a pickle or an archive and not like {format}. Save the model in that format, for XGBoost "
            "with booster.save_model('model.ubj')."
        )


def require_safe(ref: str, format: str, safe: bool) -> None:
    """Raise Refused when a model may not be loaded."""
    if not safe or format not in SAFE:
        raise Refused(
            f"{ref} is stored as {format}, which can run code when it is loaded, so it is not loaded. Save the model as one "
            f"of {', '.join(SAFE)} and register it again."
        )
