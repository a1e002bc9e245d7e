"""What every vector engine asks of its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twinloop.core.digests import parse_digest
from twinloop.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def check_index(
    key: str, vectors: NDArray[np.float32], ids: Sequence[str], labels: Sequence[Sequence[str]] | None
) -> NDArray[np.float32]:
    """The vectors as float32 with rows of length 1.

    Raises:
        InvalidInput: the key is no digest, lengths differ, ids repeat, or a vector is not finite or has length 0.
    """
    import numpy as np

    parse_digest(key)
    rows = np.asarray(vectors, np.float32)
    if rows.ndim != 2 or rows.shape[1] < 1:
        raise InvalidInput(f"The vectors have shape {rows.shape}. Give (count, dimensions).")
    if len(ids) != len(rows) or (labels is not None and len(labels) != len(rows)):
        given = "" if labels is None else f" and {len(labels)} lists of labels"
        raise InvalidInput(
            f"There are {len(rows)} vectors but {len(ids)} ids{given}. Give one of each for every vector."
        )
    if len(set(ids)) != len(ids):
        raise InvalidInput("An id occurs twice. Give every vector an id of its own.")
    return _unit(rows)


def check_query(vector: NDArray[np.float32], dimensions: int, k: int) -> NDArray[np.float32]:
    """The query as float32 of length 1.

    Raises:
        InvalidInput: not ``dimensions`` finite numbers, all zero, or ``k`` < 1.
    """
    import numpy as np

    query = np.asarray(vector, np.float32)
    if query.shape != (dimensions,):
        raise InvalidInput(
            f"The query has shape {query.shape} but the index has {dimensions} dimensions. Use its embedder."
        )
    if k < 1:
        raise InvalidInput(f"k is {k}. Ask for 1 hit or more.")
    return _unit(query[None]).reshape(dimensions)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise InvalidInput("A vector is not finite or has length 0, so it has no direction. Embed the text again.")
    return np.ascontiguousarray(rows / lengths, np.float32)
