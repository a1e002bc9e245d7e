"""PyTorch loops: what can be seen from the optimizer, through the hooks that PyTorch offers for it.

MLflow logs Lightning only, since a plain loop has no place where a loss is known to be one. The loss is one line of the
loop, ``tl.log(loss=loss.item())``; learning rate, norm of the gradients and settings of the optimizer are what is logged here.
See ``torch.optim.optimizer.register_optimizer_step_post_hook``.
"""

from __future__ import annotations

import importlib
import logging
import sys
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from twinloop.core.errors import TwinloopError
from twinloop.sdk.autologging.imports import when_imported
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.run import ActiveRun

log = logging.getLogger("twinloop.sdk")

_SETTINGS = ("lr", "weight_decay", "momentum", "betas", "eps", "nesterov", "amsgrad")


class Watching:
    """Counts the steps of every optimizer and logs some of them on the run that is open where the step is made."""

    def __init__(self, every: int) -> None:
        self.every = max(1, every)
        self._steps: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._strange: WeakSet[Any] = WeakSet()
        self._names: WeakKeyDictionary[ActiveRun, WeakKeyDictionary[Any, str]] = WeakKeyDictionary()

    def after_step(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        """PyTorch calls this after ``optimizer.step()``; the gradients are still there."""
        step = self._steps.get(optimizer, 0)
        self._steps[optimizer] = step + 1
        if step % self.every or optimizer in self._strange:
            return
        run = context.active()
        if run is None:
            return
        try:
            run.log(self._seen(self._name(run, optimizer), optimizer), step=step)
        except TwinloopError:  # a name that is taken, say: the next steps may be logged all the same
            return
        except Exception:  # training goes on whatever an optimizer looks like
            self._strange.add(optimizer)
            log.warning("Nothing more of this optimizer is logged, because it cannot be looked at.", exc_info=True)

    def _name(self, run: ActiveRun, optimizer: Any) -> str:
        """``optimizer``, then ``optimizer_2`` and so on; the settings are logged when an optimizer is first seen."""
        names = self._names.setdefault(run, WeakKeyDictionary())
        name = names.get(optimizer)
        if name is None:
            name = names[optimizer] = "optimizer" if not names else f"optimizer_{len(names) + 1}"
            found = {key: optimizer.defaults[key] for key in _SETTINGS if optimizer.defaults.get(key) is not None}
            run.params({f"{name}/class": type(optimizer).__name__, **{f"{name}/{k}": v for k, v in found.items()}})
        return name

    def _seen(self, name: str, optimizer: Any) -> dict[str, float]:
        groups = optimizer.param_groups
        rates = {f"{name}/lr" if n == 0 else f"{name}/lr_{n}": float(group["lr"]) for n, group in enumerate(groups)}
        norm = gradient_norm(group["params"] for group in groups)
        return rates if norm is None else {**rates, f"{name}/gradient_norm": norm}


def gradient_norm(groups: Any) -> float | None:
    """The Euclidean norm over all gradients; None when there are none. Waits for the device that holds them."""
    torch: Any = sys.modules["torch"]
    gradients = [p.grad for params in groups for p in params if p.grad is not None and not p.grad.is_sparse]
    if not gradients:
        return None
    norm, where = torch.linalg.vector_norm, gradients[0].device
    with torch.no_grad():
        return float(norm(torch.stack([norm(gradient.detach().float()).to(where) for gradient in gradients])))


_watching: Watching | None = None


def switch_on(every: int) -> None:
    """Watch every optimizer of this process, from when PyTorch is imported; a second call only changes how often."""
    global _watching
    if _watching is None:
        _watching = Watching(every)
        when_imported("torch", partial(_hook, _watching))
    _watching.every = max(1, every)


def _hook(watching: Watching) -> None:
    optimizer: Any = importlib.import_module("torch.optim.optimizer")
    optimizer.register_optimizer_step_post_hook(watching.after_step)
