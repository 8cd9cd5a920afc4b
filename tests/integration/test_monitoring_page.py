"""The data of the monitoring page: with many runs, with none, with drift, and while the database is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NoReturn

import psycopg2
import pytest
from fastapi.testclient import TestClient
from psycopg2.extensions import make_dsn

from bench.page import RUNS, make_up_runs, refuse
from crmbet.audiences.readers import readers_in
from crmbet.contracts.files import load_table_contract
from crmbet.load.feature_drift import write_drift
from crmbet.load.session import LoadSession
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.page.app import create_app
from crmbet.monitoring.page.reading import Reading
from crmbet.monitoring.tables import ensure_tables, open_monitoring, read_run, write_run
from crmbet.quality.measures.moves import FeatureMove
from crmbet.run.schemas import DEFAULT_SCHEMA
from crmbet.run.tasks import TASKS
from crmbet.texts import Language
from local.workspace import PROJECT

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)> <!channel> \u202e"


def page_of(url: str, language: Language = "en") -> TestClient:
    def nothing(*_: str) -> NoReturn:
        raise NotImplementedError

    reading = Reading(
        open_tables=partial(open_monitoring, url, DEFAULT_SCHEMA),
        read_report=nothing,
        column_readers=lambda: readers_in(PROJECT / "config" / "audiences"),
        runs_under_way=lambda _: (),
        open_store=nothing,
    )
    return TestClient(create_app([], refuse, reading, language))


def overview(page: TestClient) -> Any:
    answer = page.get("/api/overview")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def url(new_database: Any) -> str:
    """A database with 400 runs."""
    url: str = new_database()
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        for metrics in make_up_runs(RUNS, NOW):
            write_run(tables, metrics)
    return url


def test_hundreds_of_runs_come_newest_first_and_in_few_bytes(url: str) -> None:
    answer = page_of(url).get("/api/overview", headers={"Accept-Encoding": "gzip"})
    runs = answer.json()["runs"]

    assert [run["id"] for run in runs] == [f"made-up-{age}" for age in range(RUNS)]
    assert int(answer.headers["Content-Length"]) < 200_000
    assert answer.headers["Cache-Control"] == "no-store"


def test_runs_of_chosen_dates_come_beside_the_newest(url: str) -> None:
    first, last = (NOW - timedelta(days=300)).date(), (NOW - timedelta(days=299)).date()

    chosen: dict[str, str | int] = {"runs": 2, "since": str(first), "until": str(last)}
    runs = page_of(url).get("/api/overview", params=chosen).json()["runs"]

    assert [run["id"] for run in runs] == ["made-up-0", "made-up-1", "made-up-299", "made-up-300"]


def judge_drift(url: str, days: list[tuple[str, bool]]) -> None:
    """Write the drift of two features in runs of following days; in each, the first one is beyond its limit or not."""
    with closing(psycopg2.connect(url)) as connection:
        for place, (execution_id, is_beyond) in enumerate(days):
            session = LoadSession(
                connection=connection,
                contract=load_table_contract(),
                run_id=execution_id,
                lock_timeout_seconds=10,
            )
            moves = [
                FeatureMove(
                    feature=feature,
                    psi=psi,
                    psi_limit=0.25,
                    beyond=beyond,
                    bins=(("\u2264 1", 0.75, 0.5), (HOSTILE, 0.25, 0.5)),
                )
                for feature, psi, beyond in (
                    ("quiet", 0.0, ()),
                    ("bets_30d", 0.4 if is_beyond else 0.1, ("psi", "ks") if is_beyond else ()),
                )
            ]
            as_of = NOW + timedelta(days=place)
            write_drift(session, moves, as_of=as_of, baseline=NOW.date(), written_at=as_of)


def test_drift_is_that_of_the_newest_day_and_says_since_when(new_database: Any) -> None:
    url = new_database()
    page = page_of(url)
    assert page.get("/api/drift").json() == {"features": []}

    judge_drift(url, [("a", True), ("b", False), ("c", True), ("d", True)])
    judge_drift(url, [("backfill", True)])

    moved, quiet = page.get("/api/drift").json()["features"]
    assert moved == {
        "execution_id": "d",
        "as_of": (NOW + timedelta(days=3)).isoformat(),
        "baseline": "2026-11-24",
        "feature": "bets_30d",
        "psi": 0.4,
        "psi_limit": 0.25,
        "beyond": ["psi", "ks"],
        "bins": [["\u2264 1", 0.75, 0.5], [HOSTILE, 0.25, 0.5]],
        "since": (NOW + timedelta(days=2)).isoformat(),
    }
    assert (quiet["feature"], quiet["beyond"], quiet["since"]) == ("quiet", [], None)

    judge_drift(url, [("a", True), ("b", False), ("c", True), ("d", False)])
    assert [feature["since"] for feature in page.get("/api/drift").json()["features"]] == [None, None]


def test_a_run_older_than_any_figure_and_a_database_without_tables(new_database: Any) -> None:
    url = new_database()
    page = page_of(url)

    assert overview(page) | {"now": ""} == {
        "now": "", "dag_id": "user_features_daily", "tasks": list(TASKS), "table": None, "runs": [], "alerts": [],
        "pages": {}, "schema": DEFAULT_SCHEMA,
        "cost": {
            "currency": "USD",
            "prices": {
                "price_vcpu_hour": 0.0504, "price_gb_month": 0.023, "price_1000_reads": 0.0004,
                "price_1000_writes": 0.005,
            },
        },
    }  # fmt: skip
    assert page.get("/reports/made-up-0/raw").status_code == 404

    bare = RunMetrics(
        dag_id="user_features_daily", execution_id=HOSTILE, run_type="manual", brand="", as_of=None,
        state="failed", started_at=NOW - timedelta(minutes=1), ended_at=NOW,
    )  # fmt: skip
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        write_run(tables, bare)

    [run] = overview(page)["runs"]
    assert (run["id"], run["as_of"], run["score"], run["tasks"]) == (HOSTILE, None, None, {})
    assert page.get(f"/reports/{HOSTILE}/raw").status_code == 404


def test_the_failure_of_a_run_leaves_its_earlier_success_until_it_succeeds_again(new_database: Any) -> None:
    url = new_database()
    [good] = make_up_runs(1, NOW)
    failed = good.model_copy(
        update={"state": "failed", "failed_task": "clean", "ended_at": NOW + timedelta(hours=1)}
    )
    better = good.model_copy(update={"records_updated": 1, "ended_at": NOW + timedelta(hours=2)})

    def kept(metrics: RunMetrics) -> list[tuple[Any, ...]]:
        with open_monitoring(url, DEFAULT_SCHEMA) as tables:
            ensure_tables(tables)
            write_run(tables, metrics)
        return [(run["state"], run["updated"]) for run in overview(page_of(url))["runs"]]

    assert kept(good) == [("success", 9_000)]
    assert kept(failed) == kept(failed) == [("failed", 9_000), ("success", 9_000)]
    assert overview(page_of(url))["table"]["ended"] == good.ended_at.isoformat()
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        last = read_run(tables, good.dag_id, good.execution_id)
    assert last is not None
    assert last["state"] == "failed"
    assert kept(better) == [("success", 1)]


def test_a_table_of_version_0_7_takes_a_failure_beside_the_success(new_database: Any) -> None:
    url = new_database()
    [good] = make_up_runs(1, NOW)
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        write_run(tables, good)
        with tables.transaction() as cursor:
            cursor.execute(
                "ALTER TABLE ml_features.pipeline_runs DROP CONSTRAINT pipeline_runs_pkey, "
                "ADD PRIMARY KEY (dag_id, execution_id)"
            )

        ensure_tables(tables)
        write_run(tables, good.model_copy(update={"state": "failed"}))

    assert len(overview(page_of(url))["runs"]) == 2


def test_the_tables_run_is_the_newest_as_of_however_many_runs_came_later(new_database: Any) -> None:
    url = new_database()
    newest, *backfill = reversed(list(make_up_runs(4, NOW)))
    later = [one.model_copy(update={"ended_at": NOW + timedelta(hours=1)}) for one in backfill]
    trial = newest.model_copy(
        update={
            "execution_id": "trial",
            "records_inserted": None,
            "as_of": NOW + timedelta(days=1),
            "params": {"validate_only": True},
        }
    )
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        for metrics in (newest, *later, trial):
            write_run(tables, metrics)

    answer = page_of(url).get("/api/overview", params={"runs": 1}).json()

    assert len(answer["runs"]) == 1
    assert answer["table"]["id"] == newest.execution_id


def test_the_table_is_that_of_a_restore_until_a_load_of_its_day_or_later(new_database: Any) -> None:
    url = new_database()
    older, newest = make_up_runs(2, NOW)
    restore = RunMetrics(
        dag_id="restore_backup", execution_id="restore", run_type="manual", brand="default", as_of=older.as_of,
        as_of_date=older.as_of_date, state="success", started_at=NOW, ended_at=NOW + timedelta(hours=1),
        records_transformed=5, params={"backup": "user_features_backup_1"},
    )  # fmt: skip
    nothing = restore.model_copy(
        update={"execution_id": "nothing", "as_of": None, "ended_at": NOW + timedelta(hours=2)}
    )

    def table_after(*runs: RunMetrics) -> tuple[str, str | None]:
        with open_monitoring(url, DEFAULT_SCHEMA) as tables:
            ensure_tables(tables)
            for metrics in runs:
                write_run(tables, metrics)
        table = overview(page_of(url))["table"]
        return table["id"], table["backup"]

    def loaded_later(run: RunMetrics, hours: int) -> RunMetrics:
        return run.model_copy(
            update={"execution_id": f"later-{hours}", "ended_at": NOW + timedelta(hours=hours)}
        )

    assert table_after(older, newest) == (newest.execution_id, None)
    assert table_after(restore, nothing) == ("restore", "user_features_backup_1")
    earlier = older.model_copy(update={"as_of": NOW - timedelta(days=9)})
    assert table_after(loaded_later(earlier, 3)) == ("restore", "user_features_backup_1")
    assert table_after(loaded_later(older, 4)) == ("later-4", None)


def test_monitoring_has_time_outs_of_its_own_and_keeps_other_options(new_database: Any) -> None:
    dsn = make_dsn(
        new_database(),
        options="-c statement_timeout=0 -c search_path=crm -c work_mem=5MB",
        application_name="x",
        connect_timeout=99,
    )

    with open_monitoring(dsn, DEFAULT_SCHEMA) as tables, tables.transaction() as cursor:
        shown: list[Any] = []
        for setting in ("statement_timeout", "work_mem", "application_name", "search_path"):
            cursor.execute(f"SHOW {setting}")
            shown += cursor.fetchall()[0]
        assert shown == ["20s", "5MB", "x", "pg_catalog,pg_temp"]
        assert tables.connection.get_dsn_parameters()["connect_timeout"] == "5"


@pytest.fixture
def gone(services: Any) -> Iterator[str]:
    services.postgres.create_database("test_gone")
    yield services.postgres.url("test_gone")
    services.postgres.drop_database("test_gone")


def test_a_database_that_goes_away_and_comes_back(gone: str, services: Any) -> None:
    page = page_of(gone)
    assert overview(page)["runs"] == []
    services.postgres.drop_database("test_gone")

    answer = page.get("/api/overview")

    assert answer.status_code == 503
    assert answer.json().keys() == {"what", "next"}
    assert "does not have the database" in answer.json()["what"]

    services.postgres.create_database("test_gone")
    assert overview(page)["runs"] == []


def test_the_catalogue_names_the_audiences_that_read_a_column() -> None:
    page = page_of("").get("/catalogue").text

    entry = page.partition('<details id="rfm_segment"')[2].partition("</details>")[0]
    assert "<dt>Read by</dt><dd>sms_champions</dd>" in entry
    assert 'src="static/catalogue.js"' in page
    assert page_of("").get("/api/catalogue/nothing").status_code == 404


def test_the_page_begins_in_the_language_that_is_set_and_has_the_sentences_of_all() -> None:
    page = page_of("", "pt-BR")

    assert '<html lang="pt-BR">' in page.get("/").text
    assert page.get("/texts/pt-BR").json()["Failed checks"] == "Checagens que falharam"
    assert page.get("/texts/en").json() == {}
    assert page.get("/texts/tlh").status_code == 404
