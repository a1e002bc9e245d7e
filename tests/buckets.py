"""Real S3 servers for tests, each a child process with an empty bucket; ended by pid."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

KEYS = {"AWS_ACCESS_KEY_ID": "twinloop-test", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
BUCKET = "twinloop-test"
WEED = Path(sys.executable).parent / "weed"
_START_S = 60.0


class Bucket(NamedTuple):
    """``url`` is for TWINLOOP_BLOBS; credentials are those of ``KEYS``."""

    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/some/prefix?endpoint={self.endpoint}&region=us-east-1"

    def objects(self) -> dict[str, int]:
        """The size of every object there is, by its key."""
        found = _client(self.endpoint).list_objects_v2(Bucket=BUCKET)
        return {one["Key"]: one["Size"] for one in found.get("Contents", [])}

    def size(self) -> int:
        """How many bytes all objects have."""
        return sum(self.objects().values())

    def damage(self, key: str) -> None:
        """Change the first byte of an object."""
        client = _client(self.endpoint)
        data = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        client.put_object(Bucket=BUCKET, Key=key, Body=bytes([data[0] ^ 1]) + data[1:])

    def clear(self) -> None:
        client = _client(self.endpoint)
        for key in self.objects():
            client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def moto(folder: Path) -> Iterator[Bucket]:
    """Amazon's behaviour, imitated in memory."""
    port = _free_port()
    with _process(folder, str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)):
        yield _bucket(f"http://127.0.0.1:{port}")


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Bucket]:
    """SeaweedFS: another implementation, strict about signatures, with objects on disk."""
    identity = {
        "name": "test",
        "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "identities.json"
    config.write_text(json.dumps({"identities": [identity]}))
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    words = [f"-{name}.port={port}" for name, port in ports.items()]
    words += [f"-{name}.port.grpc={_free_port()}" for name in ports]
    data = folder / "data"
    data.mkdir()
    command = [
        str(WEED), "server", "-s3", f"-s3.config={config}", f"-dir={data}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", "-master.telemetry=false",
        "-volume.max=20", "-master.volumeSizeLimitMB=512",
        "-volume.preStopSeconds=0", "-s3.port.iceberg=0", "-s3.port.lance=0", *words,
    ]  # fmt: skip
    with _process(folder, *command):
        yield _bucket(f"http://127.0.0.1:{ports['s3']}")


@contextmanager
def _process(folder: Path, *command: str) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            yield
        finally:
            child.kill()  # asked to end, SeaweedFS takes twenty seconds over it
            child.wait()


def _bucket(endpoint: str) -> Bucket:
    """Wait until the server makes a bucket."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            _client(endpoint).create_bucket(Bucket=BUCKET)
            return Bucket(endpoint)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _client(endpoint: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 1}, connect_timeout=2, s3={"addressing_style": "path"}),
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
