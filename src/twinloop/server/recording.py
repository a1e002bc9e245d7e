"""``tl.run``, ``tl.log`` and ``tl.autolog``: what is logged is written down here and sent to the Twinloop that is meant."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.core.errors import Refused
from twinloop.core.settings import load
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.spool import Place
from twinloop.sdk.tracking import context
from twinloop.sdk.tracking.beginning import begin
from twinloop.sdk.tracking.process import recorder_for
from twinloop.sdk.tracking.recorder import Recorder
from twinloop.sdk.transports import HttpTransport

if TYPE_CHECKING:
    from twinloop.sdk.tracking.run import ActiveRun

_PATIENCE_S = 60.0
"""How long the server may be silent before a request counts as lost; it is sent again then, and applied once."""


def run(
    name: str | None = None,
    *,
    experiment: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    id: str | None = None,
    capture: bool = True,
    system_metrics: bool = True,
) -> ActiveRun:
    """Begin a run: ``with tl.run("churn", experiment="sales", params={"depth": 6}) as run: run.log(loss=0.3)``.

    Inside the block of another run it becomes that one's child. What is logged goes to TWINLOOP_URL, else to the server
    of the home, else into the home itself when the run ends. It is kept on this machine until it has arrived, so a server
    that is away, or never was there, neither stops nor slows the program.

    Args:
        experiment: its name; made if there is none. A child is in its parent's unless this says otherwise.
        id: go on with the run of this id, or begin one under it: for a job that is stopped and started again.
        capture: keep git commit, uncommitted changes, packages, machine and seeds with the run.
        system_metrics: log how busy the machine is, every ten seconds.

    Raises:
        InvalidInput: a name, param or tag that cannot be.
    """
    return begin(
        recorder(),
        name,
        experiment=experiment,
        params=params,
        tags=tags,
        id=id,
        capture=capture,
        system_metrics=system_metrics,
    )


def log(metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **more: Any) -> None:
    """Add points to metrics of the run whose block this is in: ``tl.log(loss=0.3, step=12)``.

    Outside of any block it is the only open run of the program.

    Raises:
        Refused: no run is open, or several are and none of them here.
        InvalidInput: a name no metric can have, or a value that is no number.
    """
    found = context.active()
    if found is None:
        raise Refused("No run is open here. Begin one with: with tl.run('name') as run: …")
    found.log(metrics, step=step, **more)


def autolog(*, log_models: bool = True, every: int = 50) -> None:
    """Let scikit-learn, XGBoost, LightGBM and PyTorch log themselves; call it once, before training.

    The first three through MLflow's autologgers: params, metrics of each round, and the model, on the open run or on one
    made for the call of ``fit`` or ``train``. Of PyTorch's optimizers, learning rate and norm of the gradients go to the
    open run at every ``every``-th step; the loss is yours to log, since only your loop knows which tensor it is.

    Args:
        log_models: keep the trained model with the run.

    Raises:
        MissingDependency: neither MLflow nor PyTorch is installed.
    """
    from twinloop.sdk.autologging.switch import switch_on

    switch_on(recorder, log_models=log_models, every=every)


def recorder() -> Recorder:
    """The recorder of this process for the Twinloop that the settings name."""
    settings = load()
    place = Place(url=settings.url.rstrip("/")) if settings.url else Place(home=str(settings.home.absolute()))
    return recorder_for(place, settings.spool, settings.exit_wait_s, reach, hold)


def hold(place: Place) -> Client:
    """A client of a home that nobody serves. Raises HomeHeld when another program has it open."""
    from twinloop.server.connect import connect

    return connect(home=place.home)


def reach(place: Place) -> Client | None:
    """A client for the server at a place; None when nobody serves the home and this program does not have it open."""
    from twinloop.backends.home import holder

    url = place.url
    if not url:
        found = holder(Path(place.home))
        url = found.url if found is not None else ""
    if url:
        return Client(HttpTransport(url, _PATIENCE_S), load().key, url)
    if "twinloop.server.embedded" not in sys.modules:  # else it is not open here, and costs a second to import
        return None
    from twinloop.server.embedded import shared

    return shared(Path(place.home), load().key)
