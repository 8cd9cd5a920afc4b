"""Captures the bets feed of the bucket in the environment, in a process whose memory is then its own."""

from __future__ import annotations

import json
import os
import resource
import sys
from datetime import UTC, date, datetime

import boto3

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.duckdb import LakeAccess, open_engine
from crmbet.databases.parquet import scan
from crmbet.databases.work import Work
from crmbet.extract.lake import capture_feed
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import ObjectStore

AS_OF = date(2026, 8, 12)


def main() -> None:
    """Print what was captured, and by how much the process has grown meanwhile, as JSON."""
    store = ObjectStore(boto3.client("s3"), os.environ["CRMBET_LAKE_BUCKET"])
    settings = Settings(lake_bucket=store.bucket)
    lake = LakeAccess(
        region=os.environ["AWS_REGION"],
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
    )
    run = Run(
        run_id="manual__measured",
        window=Window(as_of_date=AS_OF, as_of=midnight(AS_OF, settings.zone)),
        known_at=datetime(2026, 8, 12, 6, tzinfo=UTC),
        params=RunParams(),
        settings=settings,
    )
    with open_engine(settings, lake) as connection:
        before = peak_mib()
        captures = capture_feed(
            Work(run=run, store=store, connection=connection), load_source_contracts()["bets"]
        )
        grown = peak_mib() - before
        assert captures is not None
        files = [key for captured in captures.captures for key in captured.files]
        rejects = connection.execute(
            f"SELECT _reject, count(*) FROM {scan(store, files)} WHERE _reject IS NOT NULL GROUP BY _reject"
        ).fetchall()
    sys.stdout.write(
        json.dumps({"extracted": captures.extracted, "rejects": dict(rejects), "grown_mib": grown})
    )


def peak_mib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
