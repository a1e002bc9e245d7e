"""Every endpoint of MLflow's server, read from the real package: its protobuf services say method and path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

_SERVICES = ("service_pb2", "model_registry_pb2", "mlflow_artifacts_pb2", "webhooks_pb2")


class Known(NamedTuple):
    """``path`` has its parameters in braces; ``message`` describes the request."""

    method: str
    path: str
    message: Any

    @property
    def shape(self) -> str:
        return shape(self.method, self.path)


def shape(method: str, path: str) -> str:
    """Method and path without the names of parameters."""
    return f"{method} {re.sub(r'{[^}]*}', '{}', path)}"


def known() -> list[Known]:
    """All of them, each once; the test is skipped where MLflow is not installed."""
    return list({found.shape: found for found in _read()}.values())


def _read() -> Iterator[Known]:
    reason = "mlflow is not installed to read its endpoints from"
    rpc = pytest.importorskip("mlflow.protos.databricks_pb2", reason=reason).rpc
    for name in _SERVICES:
        module = pytest.importorskip(f"mlflow.protos.{name}", reason=reason)
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[rpc].endpoints:
                    path = re.sub(r"<(?:path:)?(\w+)>", r"{\1}", endpoint.path)
                    yield Known(endpoint.method, f"/api/{endpoint.since.major}.0{path}", method.input_type)
