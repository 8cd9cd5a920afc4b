"""The weekly DAG on a small simulated operator: it captures, plans, and removes what its plan names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg2
import pytest

from crmbet.extract.records import ExtractManifest
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import ObjectStore, StoredObject
from crmbet.sweep import SweepPlan
from local.simulator import World, deliver

pytestmark = pytest.mark.integration

LAYOUT = Layout(brand="default")
ABANDONED = f"{LAYOUT.root}state/day=2024-03-02/set=0123/abandoned.parquet"
FOREIGN = f"{LAYOUT.root}notes/about-players.txt"
WORLD = World(seed=7, players=30, start_day=date(2024, 3, 1), end_day=date(2024, 3, 4))


@pytest.fixture(scope="module")
def operator(open_operator: Callable[[], Any]) -> Any:
    operator = open_operator()
    deliver(WORLD, bucket=operator.bucket, source_url=operator.source_url)
    for key in (ABANDONED, FOREIGN):
        operator.store.write(key, b"a year old")
    return operator


@pytest.fixture(autouse=True)
def _old_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 dates objects itself: those two are shown as of a year ago."""
    listed = ObjectStore.list

    def backdated(store: ObjectStore, prefix: str) -> Iterator[StoredObject]:
        for entry in listed(store, prefix):
            age = timedelta(days=365 if entry.key in (ABANDONED, FOREIGN) else 0)
            yield replace(entry, last_modified=entry.last_modified - age)

    monkeypatch.setattr(ObjectStore, "list", backdated)


def keys(operator: Any) -> set[str]:
    return {entry.key for entry in operator.store.list("")}


@pytest.mark.full
def test_a_dry_run_plans_and_changes_nothing(operator: Any) -> None:
    before = keys(operator)

    run = operator.run("user_features_weekly", logical_date=None, run_conf={"dry_run": True})

    assert run.states == {
        "extract_s3": "skipped", "extract_pg": "skipped", "plan_sweep": "success", "sweep": "skipped",
    }  # fmt: skip
    written = {"run", "extract_s3", "extract_pg", "plan_sweep"}
    assert keys(operator) - before == {f"{LAYOUT.run(run.run_id)}{name}.json" for name in written}
    assert before <= keys(operator)
    assert run.manifest("plan_sweep", SweepPlan).objects == [ABANDONED]


def test_it_captures_all_and_removes_what_nothing_needs(operator: Any) -> None:
    before = keys(operator)

    run = operator.run("user_features_weekly", logical_date=None)

    assert set(run.states.values()) == {"success"}
    assert set(run.tries.values()) == {1}
    assert run.manifest("extract_pg", ExtractManifest).sources["transactions"].new > 0
    doomed = run.manifest("plan_sweep", SweepPlan)
    assert (doomed.done_files, doomed.objects) == ([], [ABANDONED])
    assert doomed.unknown == [FOREIGN.rpartition("/")[0]]
    assert before - keys(operator) == {ABANDONED}
    [(state, extracted, read, loaded)] = operator.query(
        "SELECT state, records_extracted, bytes_read, records_inserted FROM ml_features.pipeline_runs "
        f"WHERE dag_id = 'user_features_weekly' AND execution_id = '{run.run_id}'"
    )
    assert (state, loaded) == ("success", None)
    copied = run.manifest("extract_pg", ExtractManifest).sources["transactions"]
    assert extracted > copied.extracted > 0
    lake = sum(entry.size for entry in operator.store.list("raw/"))
    files = {key for capture in copied.captures for key in capture.files}
    sizes = {entry.key: entry.size for entry in operator.store.list(LAYOUT.captures("transactions"))}
    assert read == lake + sum(sizes[key] for key in files)


@pytest.mark.full
def test_a_change_long_ago_is_captured_and_nothing_else_is(operator: Any) -> None:
    # A daily run looks at one old day in thirty.
    days = [WORLD.start_day + timedelta(days=number) for number in range(3)]
    with (
        closing(psycopg2.connect(operator.source_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "UPDATE tbl_transactions SET amount = amount + 1 WHERE created_at::date = ANY(%s)", [days]
        )

    run = operator.execute(
        ("extract_s3", "extract_pg", "plan_sweep", "sweep"), run_id="again", dag_id="user_features_weekly"
    )

    lake = run.manifest("extract_s3", ExtractManifest).sources
    assert {source.new for source in lake.values()} == {0}
    transactions = run.manifest("extract_pg", ExtractManifest).sources["transactions"]
    assert transactions.new == len(days)
    assert transactions.changed == {day.isoformat(): "changed" for day in days}
    assert run.manifest("plan_sweep", SweepPlan).objects == []
