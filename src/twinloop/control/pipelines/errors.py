"""What can be wrong with a pipeline or stop one of its runs."""

from __future__ import annotations

from twinloop.core.errors import Conflict, InvalidInput, TwinloopError


class DefinitionError(InvalidInput):
    """A pipeline, step or declaration is written wrongly; the message names it."""

    code = "definition"


class RunHeld(Conflict):
    """Another live process runs this pipeline with these parameters."""

    code = "run_held"


class RunLost(Conflict):
    """Another process has taken this run over, because this one stopped renewing its lease."""

    code = "run_lost"


class RunFailed(TwinloopError):
    """A pipeline run ended with failed steps; ``str(error)`` names them and what each said."""

    code = "run_failed"
