"""Where MLflow's client in this process puts files: into the spool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from twinloop.sdk.autologging.mlflow_store import URI, SpoolStore
from twinloop.sdk.tracking.run import ActiveRun


class SpoolArtifacts(ArtifactRepository):
    """Files of a run, or of a logged model, on their way into the spool. ``store`` is set before one is made."""

    store: SpoolStore

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        run, model = self._place()
        source = Path(local_file)
        path = f"{artifact_path}/{source.name}" if artifact_path else source.name
        run.record_file(path, self._told(source), model)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        folder = Path(local_dir)
        for source in sorted(path for path in folder.rglob("*") if path.is_file()):
            inner = source.relative_to(folder).parent.as_posix()
            parts = [part for part in (artifact_path, inner) if part and part != "."]
            self.log_artifact(str(source), "/".join(parts) or None)

    def list_artifacts(self, path: str | None = None) -> list[Any]:
        """Nothing: files are read from the server, where they arrive later."""
        return []

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        raise MlflowException(
            "Files are read from the server: with tl.connect(), or mlflow.set_tracking_uri('http://…')."
        )

    def _place(self) -> tuple[ActiveRun, str | None]:
        kind, run_id, *model = self.artifact_uri.removeprefix(f"{URI}/").split("/")
        return self.store.run_of(run_id), model[0] if kind == "models" else None

    def _told(self, source: Path) -> Path | bytes:
        """The description of a model names the place of its files, which only the server will know."""
        if source.name != "MLmodel":
            return source
        model = self.artifact_uri.rpartition("/")[2]
        return source.read_bytes().replace(self.artifact_uri.encode(), f"models:/{model}".encode())
