"""What the engine says of S3, in our words: a server that is down is no bad file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crmbet.engine import LakeAccess, open_engine
from crmbet.engine_failures import failures_explained
from crmbet.failures import AccessRefused, CrmbetError, LostConnection, SourceMissing
from crmbet.ingest.lake import capture_feed
from crmbet.settings import Settings
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


@pytest.fixture
def capture_with(store: Any, make_run: Any, contract: Any) -> Callable[[LakeAccess], None]:
    """Captures with an engine that reaches S3 in a way of its own; the listing is not the engine's."""

    def run(lake: LakeAccess) -> None:
        with open_engine(Settings(lake_bucket="unused"), lake) as engine:
            capture_feed(engine, store, make_run(), contract)

    return run


@pytest.mark.parametrize("name", ["part.parquet", "part.csv", "part.jsonl"])
@pytest.mark.parametrize(
    ("change", "failure", "said"),
    [
        ({"endpoint_url": "http://127.0.0.1:9"}, LostConnection, "retries by itself"),
        ({"secret_key": SECRET}, AccessRefused, "crmbet_lake"),
    ],
)
def test_an_engine_that_does_not_reach_s3_blames_no_file(
    put: Any,
    capture_with: Callable[[LakeAccess], None],
    lake: LakeAccess,
    name: str,
    change: dict[str, str],
    failure: type[CrmbetError],
    said: str,
) -> None:
    put(name, b"not looked at")

    with pytest.raises(failure) as found:
        capture_with(replace(lake, **change))

    assert f"raw/bets/{name}" in str(found.value)
    assert said in str(found.value)
    assert SECRET not in str(found.value)
    assert found.value.__suppress_context__, "the original would be logged below ours"


def test_an_object_that_is_gone_is_missing(engine: Any, store: Any) -> None:
    with pytest.raises(SourceMissing, match="not there any more"), failures_explained("somewhere"):
        engine.execute(f"FROM read_parquet('{store.url('gone.parquet')}')")


def test_other_errors_pass(engine: Any) -> None:
    import duckdb

    with pytest.raises(duckdb.CatalogException), failures_explained("somewhere"):
        engine.execute("FROM no_such_table")
