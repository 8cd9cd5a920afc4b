"""What the engine says of S3, in our words: a server that is down is no bad file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from crmbet.databases.duckdb import LakeAccess, open_engine
from crmbet.databases.duckdb_failures import failures_explained
from crmbet.failures import AccessRefused, CrmbetError, LostConnection, SourceMissing
from crmbet.run.settings import Settings
from crmbet.storage.object_store import ObjectStore
from local.credentials import credentials
from local.object_store import REGION

pytestmark = pytest.mark.integration

SECRET = "do-not-tell-anyone"  # noqa: S105 - the test looks for it in messages


@pytest.fixture
def lake(services: Any) -> LakeAccess:
    keys = credentials(services.workspace)
    return LakeAccess(
        region=REGION,
        access_key=keys.access_key_id,
        secret_key=keys.secret_access_key,
        endpoint_url=services.object_store.endpoint,
    )


NOT_REACHED = pytest.mark.parametrize(
    ("change", "failure", "said"),
    [
        ({"endpoint_url": "http://127.0.0.1:9"}, LostConnection, "retries by itself"),
        ({"secret_key": SECRET}, AccessRefused, "crmbet_lake"),
    ],
)


@NOT_REACHED
def test_an_engine_that_does_not_reach_s3_blames_no_file(
    put: Any,
    store: Any,
    lake: LakeAccess,
    change: dict[str, str],
    failure: type[CrmbetError],
    said: str,
) -> None:
    url = store.url(put("part.parquet", b"not looked at"))

    with (
        open_engine(Settings(lake_bucket="unused"), replace(lake, **change)) as engine,
        pytest.raises(failure) as found,
        failures_explained(url),
    ):
        engine.execute(f"FROM read_parquet('{url}')")

    assert url in str(found.value)
    assert said in str(found.value)
    assert SECRET not in str(found.value)
    assert found.value.__suppress_context__, "the original would be logged below ours"


@NOT_REACHED
def test_an_object_that_cannot_be_fetched_is_not_an_unreadable_one(
    put: Any,
    store: Any,
    lake: LakeAccess,
    capture: Any,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    failure: type[CrmbetError],
    said: str,
) -> None:
    put("part.csv", b"not looked at")
    access = replace(lake, **change)
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    monkeypatch.setattr(store, "download", ObjectStore(client, store.bucket).download)

    with pytest.raises(failure) as found:
        capture()

    assert "raw/bets/part.csv" in str(found.value)
    assert said in str(found.value)
    assert SECRET not in str(found.value)


def test_an_object_that_is_gone_is_missing(engine: Any, store: Any) -> None:
    with pytest.raises(SourceMissing, match="not there any more"), failures_explained("somewhere"):
        engine.execute(f"FROM read_parquet('{store.url('gone.parquet')}')")


def test_other_errors_pass(engine: Any) -> None:
    import duckdb

    with pytest.raises(duckdb.CatalogException), failures_explained("somewhere"):
        engine.execute("FROM no_such_table")
