"""S3 from a wheel: rclone serves a folder of one workspace on a local port."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from local import ports
from local.credentials import credentials
from local.processes import Daemon, ServiceFailed
from local.workspace import Workspace

REGION = "us-east-1"
"""Signatures need a region; rclone takes any."""
START_TIMEOUT_SECONDS = 20


class EmbeddedObjectStore:
    """The S3 server of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.state / "lake"
        self.daemon = Daemon(workspace, "s3")

    @property
    def endpoint(self) -> str:
        """The server's URL. Raises `ServiceFailed` if it was never started."""
        port = ports.remembered(self.workspace, self.daemon.name)
        if port is None:
            raise ServiceFailed(f"no S3 server was started in {self.workspace.state}: run make services")
        return f"http://{ports.HOST}:{port}"

    def start(self) -> None:
        """Make the server run and accept connections. Raises `ServiceFailed` with the log's end if not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ports.start_on_a_port(self.daemon, self._launch)

    def stop(self) -> bool:
        """End the server. False if it did not run."""
        return self.daemon.stop()

    def create_bucket(self, name: str) -> None:
        """Create an empty bucket unless it exists, through the running server, which sees it at once."""
        if (self.folder / name).is_dir():
            return
        import boto3
        from botocore.config import Config

        keys = credentials(self.workspace)
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )
        client.create_bucket(Bucket=name)

    def _launch(self, port: int) -> None:
        keys = credentials(self.workspace)
        # fmt: off
        command = [
            str(Path(sysconfig.get_path("scripts")) / "rclone"), "serve", "s3",
            "--addr", f"{ports.HOST}:{port}",
            "--config", "/dev/null",
            "--vfs-cache-mode", "off",
            "--etag-hash", "MD5",
            str(self.folder),
        ]
        # fmt: on
        # The keys are in the environment, since every user of the machine can list the arguments of a process.
        pair = f'"{keys.access_key_id},{keys.secret_access_key}"'
        process = self.daemon.start(
            command, environ={"HOME": str(self.workspace.state), "RCLONE_AUTH_KEY": pair}
        )
        self.daemon.wait_ready(lambda: ports.listens(process, port), timeout_seconds=START_TIMEOUT_SECONDS)
