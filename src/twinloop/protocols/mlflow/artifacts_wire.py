"""Requests of MLflow's artifact endpoints. Fields that MLflow knows and Twinloop does not need are left out."""

from __future__ import annotations

import msgspec


class ListFolder(msgspec.Struct):
    path: str = ""


class ListRunArtifacts(msgspec.Struct):
    """``run_uuid`` is the older name of ``run_id``."""

    run_id: str = ""
    run_uuid: str = ""
    path: str = ""


class ListModelArtifacts(msgspec.Struct):
    artifact_directory_path: str = ""


class CreateParts(msgspec.Struct):
    """``path`` is that of the file on the client's machine; only its name counts."""

    path: str = ""
    num_parts: int = 1


class NamedPart(msgspec.Struct):
    part_number: int = 0
    etag: str | None = None


class CompleteParts(msgspec.Struct):
    path: str = ""
    upload_id: str = ""
    parts: list[NamedPart] = []


class AbortParts(msgspec.Struct):
    path: str = ""
    upload_id: str = ""


class PresignedUrl(msgspec.Struct):
    run_id: str = ""
    model_id: str = ""
    path: str = ""
    expiration: int = 300
