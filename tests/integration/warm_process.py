"""What a process that runs the pipeline would do first each time: the forkserver does it once, for all its children."""

from __future__ import annotations

import boto3

from local.object_store import REGION
from tests.extensions import trust_extensions

# Leaves S3's description, a large JSON file, in the session that later clients are made by. Nothing is connected to.
boto3.client("s3", region_name=REGION, aws_access_key_id="unused", aws_secret_access_key="unused")  # noqa: S106

trust_extensions()
