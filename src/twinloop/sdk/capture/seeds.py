"""The seeds of random generators, as far as they can be read, without importing what the program has not."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any


def seeds() -> dict[str, str]:
    """What the generators of Python, NumPy and PyTorch start from at this moment, by tag.

    Python's does not tell its seed, so the tag is a digest of its state: two runs with the same one draw the same
    numbers. NumPy's old global generator tells its seed only when a number was given and nothing has been drawn yet.
    """
    state = hashlib.sha256(repr(random.getstate()).encode()).hexdigest()[:16]
    found = {"seed.python_state": state}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        found.update(_numpy(numpy))
    if torch is not None and hasattr(torch, "initial_seed"):
        found["seed.torch"] = str(torch.initial_seed())
    return found


def _numpy(numpy: Any) -> dict[str, str]:
    generator = getattr(numpy, "random", None)
    if generator is None or not hasattr(generator, "get_state"):
        return {}
    found = generator.get_state(legacy=False)
    if found["bit_generator"] != "MT19937":
        return {"seed.numpy_state": hashlib.sha256(repr(found).encode()).hexdigest()[:16]}
    key, position = found["state"]["key"], found["state"]["pos"]
    digest = hashlib.sha256(key.tobytes() + str(position).encode()).hexdigest()[:16]
    first = int(key[0])
    unseeded = 2**31  # what seeding from more than one number leaves there
    told = {"seed.numpy": str(first)} if position == len(key) and first != unseeded else {}
    return {"seed.numpy_state": digest, **told}
