"""The whole DAG on a small simulated operator: every task, every row, and runs that must change nothing.

The target's login is the loader's role of include/sql/roles.sql, so that all of it is done with no right beyond that.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from zipfile import ZipFile

import psycopg2
import pyarrow.parquet as pq
import pytest
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from sqlalchemy import select, text

from crmbet import FEATURE_SET_VERSION
from crmbet.audiences.records import AudiencesManifest
from crmbet.clean.records import CleanManifest
from crmbet.extract.records import ExtractManifest
from crmbet.failures import LoadRefused, QualityBreach, SourceMissing
from crmbet.features.records import FeatureManifest
from crmbet.learning.cut_offs import read_cut_offs
from crmbet.load.records import BackupManifest, LoadManifest
from crmbet.monitoring import segment_jumps
from crmbet.monitoring.comparison import compare_runs
from crmbet.monitoring.masking import HIDDEN
from crmbet.monitoring.metrics import RunMetrics, collect_metrics
from crmbet.monitoring.outcome import TaskOutcome
from crmbet.monitoring.trail import rows_in_breach, set_aside_rows
from crmbet.orchestration.context import open_run, open_store_reader
from crmbet.quality.records import QualityManifest
from crmbet.run.tasks import PUBLISH, TASKS
from crmbet.storage.layout import Layout
from local.simulator import Delivery, DirtRates, World, deliver, simulate
from local.simulator.dirt import DirtLedger
from local.simulator.lake import lake_files

pytestmark = pytest.mark.integration

AS_OF = date(2024, 4, 10)
NEXT_DAY = AS_OF + timedelta(days=1)
WORLD = World(seed=11, players=800, start_day=AS_OF - timedelta(days=5), end_day=AS_OF)
"""Few days: a run's time grows with the files and days, and hardly with the rows."""
RATES = replace(
    DirtRates(),
    user_id_missing=0.004,
    user_id_too_long=0.002,
    enum_unknown=0.002,
    money_negative=0.002,
    money_zero=0.002,
    money_unparsable=0.002,
    money_nan=0.002,
    time_unparsable=0.002,
    time_future=0.002,
    time_before_2000=0.002,
    ended_before_started=0.01,
    duplicate_equal=0.005,
    duplicate_reingested=0.005,
    ceiling=0.018,
)
"""More than a real feed has, so that a small world has some of every kind; the ceiling is inside every tolerance."""

REASONS = {
    "user_id_missing": "user_id: missing",
    "user_id_too_long": "user_id: too long",
    "placed_at_unparsable": "placed_at: unreadable",
    "placed_at_before_2000": "placed_at: out of range",
    "started_at_unparsable": "started_at: unreadable",
    "started_at_before_2000": "started_at: out of range",
    "sent_at_unparsable": "sent_at: unreadable",
    "sent_at_before_2000": "sent_at: out of range",
    "created_at_before_2000": "created_at: out of range",
    "changed_at_unparsable": "changed_at: unreadable",
    "changed_at_before_2000": "changed_at: out of range",
    "ended_before_started": "ended_at: before started_at",
    "game_type_unknown": "game_type: unknown value",
    "channel_unknown": "channel: unknown value",
    "kind_unknown": "kind: unknown value",
    "transaction_type_unknown": "transaction_type: unknown value",
    "status_unknown": "status: unknown value",
    "stake_negative": "stake: below the minimum",
    "stake_unparsable": "stake: unreadable",
    "stake_nan": "stake: unreadable",
    "payout_negative": "payout: below the minimum",
    "amount_zero": "amount: not above the minimum",
    "amount_negative": "amount: not above the minimum",
    "amount_nan": "amount: unreadable",
}
"""Kind of planted dirt to the reason in quarantine."""

SOURCES = ("bets", "communications", "limits", "players", "sessions", "transactions")
LOAD = ("backup_table", "load_merge")
UNGATED = tuple(task for task in TASKS if task not in ("validate_raw", "validate"))
"""A gate takes seconds. That it can be repeated, and asks Airflow for nothing, is in test_previous_version."""

NAME, MAIL, DOCUMENT = "Canaria de Exemplo", "canaria@person.example", "000.000.001-91"
"""Personal data of nobody. Only captures and quarantine may hold such."""
PERSON = f"""user_id,registered_at,birth_date,timezone,is_test,full_name,email,document
canary,{MAIL},{DOCUMENT},{NAME},{MAIL},{NAME},{MAIL},{DOCUMENT}
,2024-01-01T00:00:00Z,1990-01-01,{NAME},false,{NAME},{MAIL},{DOCUMENT}
"""
"""A player whose fields are mixed up, and one without an id, who is set aside."""
BETS = f"bet_id,user_id,placed_at,game_type,stake\nb1,{MAIL},2024-04-09T12:00:00Z,slots,10.50\n"


@dataclass(frozen=True)
class Played:
    """An operator after a run for a day and a second one for the same day."""

    operator: Any
    delivery: Delivery
    first: Any
    rows_after_first: list[tuple[Any, ...]]
    again: Any
    rows_after_again: list[tuple[Any, ...]]


@dataclass(frozen=True)
class NextDay:
    """The same operator after the delivery of the next day, of which one object is cut off. Another one is foreign.

    A run has validated it while such are tolerated, and then the tasks of another one have loaded it.
    """

    delivery: Delivery
    cut_off: str
    """The key of that object."""
    foreign: str
    """The key of the foreign one."""
    validated: Any
    rows_before: list[tuple[Any, ...]]
    rows_after_validated: list[tuple[Any, ...]]
    breach: str
    """What the gate says of the delivery if nothing is tolerated."""
    loaded: Any
    rows_after_loaded: list[tuple[Any, ...]]
    log: str


@dataclass(frozen=True)
class Broken:
    """A run for a delivery that is not good enough, by an operator with the same target."""

    operator: Any
    run: Any
    rows_before: list[tuple[Any, ...]]
    log: str


def target_rows(operator: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = operator.query("SELECT * FROM ml_features.user_features ORDER BY user_id")
    return rows


@pytest.fixture(scope="module")
def played(open_operator: Callable[..., Any]) -> Played:
    operator = open_operator(as_loader=True)
    delivery = deliver(WORLD, bucket=operator.bucket, source_url=operator.source_url, rates=RATES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRMBET_AUDIENCES_FOLDER", "config/audiences")
        first = operator.run(logical_date=datetime.combine(AS_OF, datetime.min.time(), UTC))
    rows_after_first = target_rows(operator)
    again = operator.execute(UNGATED, run_id="again", as_of=AS_OF.isoformat())
    return Played(operator, delivery, first, rows_after_first, again, target_rows(operator))


@pytest.fixture(scope="module")
def next_day(played: Played) -> NextDay:
    operator, conf = played.operator, {"as_of": NEXT_DAY.isoformat()}
    world = replace(WORLD, end_day=NEXT_DAY)
    delivery = deliver(world, bucket=operator.bucket, source_url=operator.source_url, rates=RATES)
    cut_off = put_personal_data(operator, AS_OF)
    foreign = f"raw/bets/dt={AS_OF}/budget.csv"
    operator.store.write(foreign, f"{NAME},{MAIL}\n{NAME},{MAIL}\n".encode())
    operator.store.write(f"raw/bets/dt={AS_OF}/_temporary/0/part-00.csv", BETS.encode())
    operator.store.write(f"raw/bets/dt={AS_OF}/notes.txt", NAME.encode())
    operator.store.write(f"raw/bets/dt={AS_OF}/part-98.parquet", b"")
    rows_before = target_rows(operator)
    with logged() as log:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CRMBET_MAX_UNREADABLE_SHARE", "1")
            patch.setenv("CRMBET_MAX_UNREADABLE_PROTECTION_SHARE", "1")
            validated = operator.run(logical_date=None, run_conf={**conf, "validate_only": True})
        rows_after_validated = target_rows(operator)
        loaded = operator.execute(UNGATED, run_id="loaded", **conf)
        rows_after_loaded = target_rows(operator)
        # What is judged is what the run has captured. Nothing is tolerated now.
        with pytest.raises(QualityBreach) as breach:
            operator.execute(["validate_raw"], run_id="loaded", **conf)
    return NextDay(
        delivery=delivery,
        cut_off=cut_off,
        foreign=foreign,
        validated=validated,
        rows_before=rows_before,
        rows_after_validated=rows_after_validated,
        breach=str(breach.value),
        loaded=loaded,
        rows_after_loaded=rows_after_loaded,
        log=log.getvalue(),
    )


@pytest.fixture(scope="module")
def broken(next_day: NextDay, played: Played, open_operator: Callable[..., Any]) -> Broken:
    # The environment points at the operator that was opened last, so those before have to be done.
    operator = open_operator(target_url=played.operator.target_url)
    world = replace(WORLD, start_day=AS_OF - timedelta(days=2))
    deliver(world, bucket=operator.bucket, source_url=operator.source_url, rates=RATES, broken=True)
    put_personal_data(operator, AS_OF - timedelta(days=1))
    rows_before = target_rows(operator)
    with logged() as log, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRMBET_MAX_UNREADABLE_SHARE", "1")
        run = operator.run(logical_date=None, run_conf={"as_of": AS_OF.isoformat()})
    return Broken(operator, run, rows_before, log.getvalue())


def put_personal_data(operator: Any, day: date) -> str:
    """Deliver players and a bet that nothing may tell of; the key of the bet, whose object is cut off."""
    cut_off = f"raw/bets/dt={day}/part-99.csv.gz"
    operator.store.write(cut_off, gzip.compress(BETS.encode())[:-9])
    operator.store.write(f"raw/players/dt={day}/mixed-up.csv", PERSON.encode())
    return cut_off


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield text
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


@pytest.fixture(scope="module")
def expected_players() -> DirtLedger:
    """The dirt of the newest snapshot of players, the only one that a run reads."""
    newest: DirtLedger | None = None
    for batch in simulate(WORLD):
        for file in lake_files(WORLD, batch, RATES):
            if file.feed == "players":
                newest = file.dirt
    assert newest is not None
    return newest


def test_every_task_succeeds_at_once_and_leaves_its_manifest(played: Played) -> None:
    assert played.first.states == dict.fromkeys((*TASKS, PUBLISH), "success")
    assert set(played.first.tries.values()) == {1}
    assert played.first.manifests() == {"run", *TASKS, PUBLISH}


def unlooked_at(played: Played, source: str) -> int:
    """Rows of days after as_of: of PostgreSQL they are not looked at, of the lake they lie among others."""
    return played.delivery.dirt.total(source, "unread") if source == "transactions" else 0


def test_every_record_is_accounted_for(played: Played) -> None:
    lake = played.first.manifest("extract_s3", ExtractManifest).sources
    database = played.first.manifest("extract_pg", ExtractManifest).sources
    cleaned = played.first.manifest("clean", CleanManifest).sources
    assert sorted(lake | database) == sorted(cleaned) == sorted(SOURCES)
    for name, captures in (lake | database).items():
        assert captures.extracted == played.delivery.rows[name] - unlooked_at(played, name), name
        assert captures.new == len(captures.captures), name
        found = cleaned[name]
        left = (
            found.accepted + found.duplicates + sum(found.quarantined.values()) + sum(found.outside.values())
        )
        assert left == found.extracted == captures.extracted, name
        assert sum(day.rows for day in found.days) == found.accepted, name


@pytest.mark.parametrize("source", SOURCES)
def test_planted_dirt_and_nothing_else_is_set_aside(
    played: Played, expected_players: DirtLedger, source: str
) -> None:
    ledger = expected_players if source == "players" else played.delivery.dirt
    cleaned = played.first.manifest("clean", CleanManifest).sources[source]
    planted: Counter[str] = Counter()
    for (feed, kind, outcome), rows in ledger.rows.items():
        if feed == source and outcome == "quarantined":
            planted[REASONS[kind]] += rows
    assert cleaned.quarantined == dict(planted)
    assert cleaned.duplicates == ledger.total(source, "deduplicated")
    outside = {reason: rows for reason, rows in cleaned.outside.items() if reason != "older snapshots"}
    unread = ledger.total(source, "unread") - unlooked_at(played, source)
    assert outside == ({"at or after as_of": unread} if unread else {})


def test_the_world_is_dirty_enough_to_tell(played: Played) -> None:
    kinds = {kind for _, kind, outcome in played.delivery.dirt.rows if outcome == "quarantined"}
    assert len(kinds) >= 10
    assert played.delivery.dirt.total("bets", "deduplicated") > 10


def test_quarantine_says_why_and_where_from(played: Played) -> None:
    found: Counter[str] = Counter()
    bets = played.first.manifest("clean", CleanManifest).sources["bets"]
    for key in bets.quarantine_files:
        for row in pq.read_table(io.BytesIO(played.operator.store.read(key))).to_pylist():
            found[row["reason"]] += 1
            assert row["source_key"].startswith("raw/bets/dt=")
            assert row["source_row"] > 0
            assert row["run_id"] == played.first.run_id
            assert row["record"].startswith('{"bet_id":')
    assert found == bets.quarantined


def test_a_count_on_the_page_leads_to_its_rows_without_persons(played: Played) -> None:
    for source, cleaned in played.first.manifest("clean", CleanManifest).sources.items():
        with open_store_reader("user_features_daily") as reader:
            rows = set_aside_rows(reader, played.first.run_id, source, None, most=9_999, unmasked=True)
            masked = set_aside_rows(reader, played.first.run_id, source, None, most=9_999, unmasked=False)
            for reason, count in cleaned.quarantined.items():
                some = set_aside_rows(reader, played.first.run_id, source, reason, most=2, unmasked=False)
                assert {row.reason for row in some} == {reason}
                assert len(some) == min(count, 2)
        assert Counter(row.reason for row in rows) == cleaned.quarantined
        assert [(row.source_key, row.source_row) for row in rows] == [
            (row.source_key, row.source_row) for row in masked
        ]
        players = {str((row.record or {})["user_id"]).strip() for row in masked} - {"None", ""}
        assert players <= {HIDDEN}


def test_a_check_on_the_page_leads_to_its_rows(played: Played) -> None:
    report = played.first.manifest("validate_raw", QualityManifest).report_json
    content = played.operator.store.read(report.removeprefix(played.operator.store.url("")))
    named = {
        outcome["view"]: outcome
        for check in json.loads(content)["checks"]
        for outcome in check["expectations"]
        if outcome["keys"] and "_source_key=" in outcome["keys"][0]
    }
    assert {"raw_bets", "raw_transactions"} <= named.keys()

    for view, outcome in named.items():
        with open_store_reader("user_features_daily") as reader:
            rows = rows_in_breach(reader, played.first.run_id, "raw", view, outcome["title"], unmasked=True)
        assert len(rows) == len(outcome["keys"])
        for row, key in zip(rows, outcome["keys"], strict=True):
            assert row.record is not None, key
            assert f"_source_key={row.source_key} " in key


def test_two_runs_of_the_same_day_do_not_differ_and_a_run_without_records_is_named(played: Played) -> None:
    with open_store_reader("user_features_daily") as reader:
        same = compare_runs(reader, played.first.run_id, played.again.run_id)
        assert (same.only_one, same.only_other, same.cells) == (0, 0, {})
        assert same.both > 80
        with pytest.raises(SourceMissing, match="the run nobody has left no record of engineer_features"):
            compare_runs(reader, played.first.run_id, "nobody")


def test_the_target_has_one_row_for_every_player(played: Played) -> None:
    features = played.first.manifest("engineer_features", FeatureManifest)
    load = played.first.manifest("load_merge", LoadManifest)
    [(rows, users, as_of, runs)] = played.operator.query(
        """
        SELECT count(*), count(DISTINCT user_id), min(as_of) || '/' || max(as_of),
            array_agg(DISTINCT execution_id)
        FROM ml_features.user_features
        """
    )
    assert rows == users == features.users == load.inserted == load.staged > 80
    midnight = "2024-04-10 03:00:00+00"
    assert as_of == f"{midnight}/{midnight}"
    assert runs == [played.first.run_id]
    assert played.first.manifest("backup_table", BackupManifest) == BackupManifest(backup=None, rows=0)


def test_both_quality_reports_are_there_and_pass(played: Played) -> None:
    for task in ("validate_raw", "validate"):
        report = played.first.manifest(task, QualityManifest)
        assert report.passed
        for address in (report.report_html, report.report_json):
            content = played.operator.store.read(address.removeprefix(played.operator.store.url("")))
            assert content
            assert played.first.run_id.encode() in content


def test_a_run_leaves_few_objects_of_its_own_among_them_the_pages_of_great_expectations(
    played: Played,
) -> None:
    store, layout = played.operator.store, Layout(brand="default")
    reports = layout.report(AS_OF, played.first.run_id)
    own = [*store.list(layout.run(played.first.run_id)), *store.list(reports)]

    assert len(own) <= 25
    assert all(layout.is_ours(entry.key) for entry in own)
    for stage, view in (("raw", "raw_bets"), ("features", "user_features")):
        with ZipFile(io.BytesIO(store.read(f"{reports}{stage}_data_docs.zip") or b"")) as archive:
            names = archive.namelist()
            assert view.encode() in archive.read("index.html")
        assert f"expectations/{view}.html" in names
        assert any(name.startswith(f"validations/{view}/") for name in names)


def test_the_report_of_the_features_says_how_good_last_months_churn_scores_were(played: Played) -> None:
    models = played.first.manifest("engineer_features", FeatureManifest).learned.models
    address = played.first.manifest("validate", QualityManifest).report_json
    report = json.loads(played.operator.store.read(address.removeprefix(played.operator.store.url(""))))

    assert report["churn"] == {
        "holdout": models.holdout and models.holdout.model_dump(mode="json"),
        "holdout_problem": models.holdout_problem,
        "calibration_problem": models.calibration_problem,
        "calibrated": models.calibration is not None,
    }
    assert models.holdout or models.holdout_problem


def test_a_run_leaves_a_row_of_figures(played: Played) -> None:
    assert (played.first.state, played.first.recorded) == ("success", {"success"})
    [row] = played.operator.query(
        f"SELECT to_jsonb(r) FROM ml_features.pipeline_runs r WHERE execution_id = '{played.first.run_id}'"
    )
    figures = row[0]
    cleaned = played.first.manifest("clean", CleanManifest).sources
    features = played.first.manifest("engineer_features", FeatureManifest)
    assert figures["records_extracted"] == sum(source.extracted for source in cleaned.values())
    assert figures["records_cleaned"] == sum(source.accepted for source in cleaned.values())
    assert figures["quarantined"] == {
        name: source.quarantined for name, source in cleaned.items() if source.quarantined
    }
    assert figures["records_inserted"] == figures["records_transformed"] == features.users
    assert figures["success_rate"] == pytest.approx(features.users / figures["records_extracted"])
    assert 0.9 < figures["accepted_rate"] < 1
    assert figures["as_of_date"] == AS_OF.isoformat()
    assert sorted(figures["tasks"]) == sorted((*TASKS, PUBLISH))
    assert all(task["state"] == "success" and task["seconds"] > 0 for task in figures["tasks"].values())
    players = figures["players"]
    assert players["total"] == sum(players["churn"].values()) == features.users
    assert sum(segment["players"] for segment in players["segments"].values()) == features.users
    lake, transactions = (
        sum(entry.size for entry in played.operator.store.list(folder))
        for folder in ("raw/", "crmbet/brand=default/captures/source=transactions/")
    )
    assert transactions < figures["bytes_read"] <= lake + transactions
    written = sum(
        entry.size for entry in played.operator.store.list("crmbet/") if entry.key.endswith(".parquet")
    )
    assert 0 < figures["bytes_written"] <= written
    assert figures["store_bytes"] >= written
    usage = {task: outcome["usage"] for task, outcome in figures["tasks"].items()}
    assert all(used["cpu_seconds"] > 0 for used in usage.values())
    assert all(used["requests"] for used in usage.values())
    assert usage["extract_pg"]["rows_read"] > 0
    assert usage["load_merge"]["rows_written"] >= features.users
    assert "rfm" in usage["engineer_features"]["themes"]


def test_players_are_handed_over_and_markers_have_their_reasons(played: Played) -> None:
    published = played.first.manifest(PUBLISH, AudiencesManifest).publications
    examples = {"churn_high_value", "first_deposit_missing", "protection_contact", "sms_champions"}
    assert {each.audience for each in published} == examples
    for each in published:
        view = f"ml_features.audience_{each.audience}"
        assert played.operator.query(f"SELECT count(*) FROM {view}") == [(each.members,)]
    [(known, shown)] = played.operator.query(
        "SELECT count(*) FILTER (WHERE cardinality(rg_markers_triggered) > 0), count(rg_reason_1) "
        "FROM ml_features.user_features LEFT JOIN ml_features.score_reasons USING (user_id, as_of)"
    )
    assert 0 < shown <= known


def test_what_a_loaded_run_learned_is_kept_once_for_later_ones(played: Played) -> None:
    layout = Layout(brand="default")
    frozen = read_cut_offs(
        played.operator.store,
        layout,
        FEATURE_SET_VERSION,
        as_of_date=AS_OF,
        known_at=datetime.max.replace(tzinfo=UTC),
    )
    learned = played.first.manifest("engineer_features", FeatureManifest).learned
    assert frozen is not None
    assert learned is not None
    assert frozen.cut_offs == learned.cut_offs
    assert "intensity" in frozen.cut_offs
    assert len(list(played.operator.store.list(layout.cut_offs(FEATURE_SET_VERSION)))) == 1


def test_dags_that_wait_for_the_table_are_told_what_it_holds(played: Played) -> None:
    with create_session() as session:
        events = session.scalars(
            select(AssetEvent).where(AssetEvent.source_run_id == played.first.run_id)
        ).all()
        found = [(event.asset.name, event.extra) for event in events]
    rows = played.first.manifest("load_merge", LoadManifest).staged
    assert found == [
        (
            "user_features",
            {
                "run_id": played.first.run_id,
                "as_of": AS_OF.isoformat(),
                "rows": rows,
                "grade": "A",
                "score": 1.0,
            },
        )
    ]


def test_every_check_of_both_stages_is_a_row_that_the_monitoring_reads(played: Played) -> None:
    rows = played.operator.query(
        f"""
        SELECT stage, count(*), bool_and(success), min(grade), min(score), count(DISTINCT as_of)
        FROM ml_features.quality_results WHERE execution_id = '{played.first.run_id}' GROUP BY stage ORDER BY stage
        """
    )
    assert rows == [("features", 11, True, "A", 1.0, 1), ("raw", 9, True, "A", 1.0, 1)]


def test_the_same_day_again_captures_and_writes_nothing_without_airflows_database(played: Played) -> None:
    assert played.again.run_id != played.first.run_id
    assert played.again.manifests() == {"run", *UNGATED}
    for task, result in played.again.returned.items():
        assert result["manifest"].endswith(f"{task}.json")
    for task in ("extract_s3", "extract_pg"):
        assert {source.new for source in played.again.manifest(task, ExtractManifest).sources.values()} == {0}
    assert played.again.manifest("engineer_features", FeatureManifest).days_built == 0
    load = played.again.manifest("load_merge", LoadManifest)
    assert (load.inserted, load.updated, load.removed) == (0, 0, 0)
    assert load.unchanged == len(played.rows_after_first)
    assert played.rows_after_again == played.rows_after_first, "updated_at too"
    backup = played.again.manifest("backup_table", BackupManifest)
    [(kept,)] = played.operator.query(f"SELECT count(*) FROM ml_features.{backup.backup}")
    assert kept == backup.rows == load.unchanged


def test_the_loaders_role_is_all_that_the_target_grants(played: Played) -> None:
    [login] = played.operator.query(
        """
        SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
            has_database_privilege(current_database(), 'CREATE, TEMPORARY'),
            (SELECT count(*) FROM pg_auth_members WHERE member = role.oid)
        FROM pg_roles AS role WHERE rolname = session_user
        """
    )
    assert login == ("crmbet_loader", False, False, 0)
    relations = played.operator.query(
        r"""
        SELECT DISTINCT regexp_replace(relname, '_(\d{4}_\d\d|backup_.*)$', ''), relowner::regrole::text
        FROM pg_class WHERE relnamespace = 'ml_features'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1
        """
    )
    assert relations == [
        (name, "crmbet_loader")
        for name in (
            "alerts",
            "audience_runs",
            "model_parameters",
            "pipeline_runs",
            "quality_results",
            "score_reasons",
            "user_features",
            "user_features_history",
        )
    ]
    pairs = "SELECT user_id, as_of AS instant FROM ml_features.user_features"
    played.operator.query(
        f"CREATE VIEW ml_features.pairs AS {pairs}; "
        "SELECT * FROM ml_features.training_set('ml_features.pairs', 'active_days_30d', '1 day')"
    )


def test_validate_only_stops_before_the_target(next_day: NextDay) -> None:
    run = next_day.validated

    assert run.states == {task: "skipped" if task in LOAD else "success" for task in TASKS}
    assert run.manifests() == {"run", *TASKS} - {*LOAD}
    assert next_day.rows_after_validated == next_day.rows_before


def test_the_next_day_captures_what_is_new(next_day: NextDay) -> None:
    run = next_day.validated

    assert run.manifest("extract_pg", ExtractManifest).sources["transactions"].new <= 3
    # The object of the day, and the empty one.
    assert run.manifest("extract_s3", ExtractManifest).sources["bets"].new == 2
    assert run.manifest("engineer_features", FeatureManifest).days_built <= 3


def test_the_next_day_is_merged(played: Played, next_day: NextDay) -> None:
    run, before = next_day.loaded, {row[0]: row for row in next_day.rows_before}
    after = {row[0]: row for row in next_day.rows_after_loaded}

    load = run.manifest("load_merge", LoadManifest)
    assert load.staged == len(after) == load.inserted + load.updated
    assert load.inserted == len(after.keys() - before.keys())
    assert before.keys() <= after.keys()
    [(days,)] = played.operator.query("SELECT count(DISTINCT as_of) FROM ml_features.user_features")
    assert days == 1
    assert run.manifest("backup_table", BackupManifest).backup is None, "the last backup equals the table"
    assert load.backup == played.again.manifest("backup_table", BackupManifest).backup, (
        "it is named all the same"
    )


def test_a_backfill_of_sources_that_were_not_captured_then_is_marked(played: Played) -> None:
    found = played.operator.query(
        "SELECT DISTINCT reconstructed, reconstructed_because FROM ml_features.user_features_history "
        "WHERE as_of = (SELECT min(as_of) FROM ml_features.user_features_history)"
    )
    [(reconstructed, because)] = found
    assert reconstructed
    named, _, rest = because.partition(" do not say when their rows were known")
    assert {"limits", "players", "transactions"} <= set(named.split(", "))
    assert rest.startswith(", and had not been captured before ")
    # The loader may not make temporary tables. This one goes with the transaction.
    pairs = (
        "CREATE TABLE ml_features.pairs AS SELECT user_id, as_of AS instant FROM ml_features.user_features_history; "
        "SELECT count(*) FROM ml_features.training_set('ml_features.pairs', 'active_days_7d', '0 days'{})"
    )
    assert played.operator.query(pairs.format("")) == [(0,)]
    [(admitted,)] = played.operator.query(pairs.format(", admit_reconstructed => true"))
    assert admitted >= len(played.rows_after_first)


def test_what_somebody_edits_is_put_back_and_told(
    played: Played, next_day: NextDay, capsys: pytest.CaptureFixture[str]
) -> None:
    marketing = "SELECT user_id, marketing_allowed FROM ml_features.user_features ORDER BY 1"
    before = played.operator.query(marketing)
    with closing(psycopg2.connect(played.operator.target_url)) as connection, connection:
        connection.cursor().execute("UPDATE ml_features.user_features SET marketing_allowed = true")
    edited = sum(not allowed for _, allowed in before)
    assert edited > 10

    run_id = next_day.loaded.run_id.removeprefix("manual__")
    again = played.operator.execute(LOAD, run_id=run_id)

    load = again.manifest("load_merge", LoadManifest)
    assert (load.edited, load.updated, load.unchanged) == (edited, 0, len(before))
    assert played.operator.query(marketing) == before
    assert f"edited by hand: {edited} rows of the feature table" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["extract_s3", "extract_pg"])
def test_another_brand_is_refused_before_anything_is_read(
    played: Played, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMBET_BRAND", "other")
    before = {entry.key for entry in played.operator.store.list("")}

    with pytest.raises(LoadRefused, match="belongs to the brand default, and this run is of the brand other"):
        played.operator.execute([task], run_id=f"of another brand, {task}", as_of=NEXT_DAY.isoformat())

    made = {entry.key for entry in played.operator.store.list("")} - before
    assert [key for key in made if not key.endswith("/run.json")] == []


def test_an_unreadable_object_fails_the_raw_gate_unless_its_share_is_tolerated(next_day: NextDay) -> None:
    assert next_day.cut_off in next_day.breach
    assert "the gzip is truncated or damaged" in next_day.breach
    assert "Next: " in next_day.breach

    assert next_day.validated.states["validate_raw"] == "success"
    extracted = next_day.validated.manifest("extract_s3", ExtractManifest).sources
    assert extracted["bets"].extracted == next_day.delivery.rows["bets"]
    assert {entry.chunk: entry.is_foreign for entry in extracted["bets"].unreadable} == {
        next_day.cut_off: False,
        next_day.foreign: True,
    }
    assert len(next_day.rows_after_loaded) > 80


def test_a_foreign_object_stops_nothing_and_is_told_once(played: Played, next_day: NextDay) -> None:
    assert next_day.foreign not in next_day.breach
    assert (
        next_day.breach.count(" objects could not be read in the format that their name says (allowed: none)")
        == 1
    )
    run = next_day.validated
    [(kind, task, anchor, what)] = played.operator.query(
        f"SELECT kind, task_id, anchor, what FROM ml_features.alerts WHERE execution_id = '{run.run_id}'"
    )
    assert (kind, task, anchor) == ("set_aside", "extract_s3", "foreign-objects")
    assert "one object was set aside" in what
    [told] = [line for line in next_day.log.splitlines() if line.startswith("ALERT set_aside")]
    assert run.run_id in told


def test_what_is_no_delivery_is_in_the_manifest_and_in_the_report(played: Played, next_day: NextDay) -> None:
    bets = next_day.validated.manifest("extract_s3", ExtractManifest).sources["bets"]
    assert {why: (objects.count, objects.examples) for why, objects in bets.passed_over.items()} == {
        "hidden": (1, [f"raw/bets/dt={AS_OF}/_temporary/0/part-00.csv"]),
        "ending": (1, [f"raw/bets/dt={AS_OF}/notes.txt"]),
    }
    assert bets.empty is not None
    assert f"raw/bets/dt={AS_OF}/part-98.parquet" in bets.empty.examples
    report = next_day.validated.manifest("validate_raw", QualityManifest)
    for address in (report.report_json, report.report_html):
        page = played.operator.store.read(address.removeprefix(played.operator.store.url(""))).decode()
        assert f"1 hidden or unfinished (raw/bets/dt={AS_OF}/_temporary/0/part-00.csv)" in page
        assert f"1 of no format that is read (raw/bets/dt={AS_OF}/notes.txt)" in page
        assert f"{next_day.foreign} cannot be read" in page
        assert f"raw/bets/dt={AS_OF}/part-98.parquet" in page


def test_the_page_shows_a_record_with_mixed_up_fields_without_the_person(
    played: Played, next_day: NextDay
) -> None:
    def shown(*, unmasked: bool) -> str:
        with open_store_reader("user_features_daily") as reader:
            run = next_day.validated.run_id
            return repr(set_aside_rows(reader, run, "players", None, most=9_999, unmasked=unmasked))

    assert NAME in shown(unmasked=True)
    for personal in (NAME, MAIL, DOCUMENT):
        assert personal not in shown(unmasked=False)


def test_the_next_day_differs_by_what_a_day_changes(played: Played, next_day: NextDay) -> None:
    with open_store_reader("user_features_daily") as reader:
        found = compare_runs(reader, played.first.run_id, next_day.loaded.run_id)
    assert found.only_other == len(next_day.rows_after_loaded) - len(next_day.rows_before)
    assert next(iter(found.cells)) == "tenure_days"


def test_the_next_day_says_who_has_moved(played: Played, next_day: NextDay) -> None:
    load = next_day.loaded.manifest("load_merge", LoadManifest)
    stages = [flow for flow in load.movements if flow.dimension == "lifecycle_stage"]

    assert played.first.manifest("load_merge", LoadManifest).movements == [], "there was no day before"
    assert {flow.days for flow in load.movements} == {1}
    assert sum(flow.players for flow in stages) == load.staged
    known = {row[0] for row in next_day.rows_before}
    new = [row for row in next_day.rows_after_loaded if row[0] not in known]
    assert sum(flow.players for flow in stages if flow.from_segment is None) == len(new) > 0


def test_the_runs_figures_have_who_has_moved_and_what_jumped(played: Played, next_day: NextDay) -> None:
    run, now = next_day.loaded, datetime.now(UTC)
    load = run.manifest("load_merge", LoadManifest)
    known = RunMetrics(
        dag_id="user_features_daily", execution_id=run.run_id, run_type="manual", brand="default", as_of=None,
        state="success", started_at=now, ended_at=now,
        tasks={task: TaskOutcome(state="success") for task in ("engineer_features", "load_merge")},
    )  # fmt: skip
    dag_run = SimpleNamespace(
        dag_id="user_features_daily",
        run_id=run.run_id,
        run_type="manual",
        start_date=now,
        run_after=now,
        logical_date=None,
        data_interval_end=None,
    )
    with pytest.MonkeyPatch.context() as patch:
        # So few players never jump beyond chance.
        patch.setattr(segment_jumps, "Z", 0)
        patch.setenv("CRMBET_MAX_SEGMENT_JUMP_SHARE", "0")
        patch.setenv("CRMBET_LAKE_BUCKET", played.operator.bucket)
        airflow_run = open_run(cast(Any, {"dag_run": dag_run, "params": {}}))
        with airflow_run.work() as work:
            metrics = collect_metrics(known, work)

    assert metrics.players is not None
    assert metrics.players.movements == tuple(load.movements) != ()
    warning = metrics.tasks["engineer_features"].warning
    assert warning is not None
    assert warning.kind == "SegmentJump"


@pytest.mark.full
def test_dry_run_says_what_it_would_capture_and_changes_nothing(played: Played, next_day: NextDay) -> None:
    before = target_rows(played.operator)
    stored = {entry.key for entry in played.operator.store.list("")}

    run = played.operator.run(logical_date=None, run_conf={"as_of": NEXT_DAY.isoformat(), "dry_run": True})

    assert run.states == dict.fromkeys(TASKS, "skipped")
    plan = {"run", "extract_s3", "extract_pg", "clean", "engineer_features"}
    assert run.manifests() == plan
    written = {entry.key for entry in played.operator.store.list("")} - stored
    assert written == {f"{Layout(brand='default').run(run.run_id)}{name}.json" for name in plan}
    planned = {
        name: captures.changed
        for task in ("extract_s3", "extract_pg")
        for name, captures in run.manifest(task, ExtractManifest).sources.items()
    }
    assert planned == {key: {} for key in SOURCES}, "nothing has changed since the last run"
    with create_session() as session:
        told = text(
            "SELECT value FROM xcom WHERE run_id = :run AND task_id = 'engineer_features' AND key = 'plan'"
        )
        [(plan_of_table,)] = session.execute(told, {"run": run.run_id}).all()
    assert f"none would change if {NEXT_DAY} has been loaded since the last change" in str(plan_of_table)
    assert target_rows(played.operator) == before


def test_an_unknown_param_fails_the_first_tasks_without_a_retry(played: Played, next_day: NextDay) -> None:
    run = played.operator.run(logical_date=None, run_conf={"as_off": AS_OF.isoformat()})

    assert (run.states["extract_s3"], run.states["extract_pg"]) == ("failed", "failed")
    assert (run.tries["extract_s3"], run.tries["extract_pg"]) == (1, 1)
    assert {run.states[task] for task in TASKS[2:]} == {"upstream_failed"}
    assert run.manifests() == set()


def test_a_broken_delivery_fails_at_the_raw_gate_with_a_report(broken: Broken) -> None:
    operator, run = broken.operator, broken.run

    assert run.states == {
        "extract_s3": "success",
        "extract_pg": "success",
        "validate_raw": "failed",
        **dict.fromkeys(TASKS[3:], "upstream_failed"),
    }
    assert run.tries["validate_raw"] == 1, "a breach is not retried"
    [(rows, failed)] = operator.query(
        f"""
        SELECT count(*), count(*) FILTER (WHERE NOT success AND jsonb_array_length(observed) > 0)
        FROM ml_features.quality_results WHERE execution_id = '{run.run_id}' AND stage = 'raw'
        """
    )
    assert rows == 9
    assert failed > 0
    report = run.manifest("validate_raw", QualityManifest)
    assert not report.passed
    assert (run.state, run.recorded) == ("failed", {"success"}), "the record does not turn a failed run green"
    [(kind, delivered)] = operator.query(
        f"SELECT anchor, delivered::text FROM ml_features.alerts WHERE execution_id = '{run.run_id}'"
    )
    assert (kind, delivered) == ("quality-breach", "{}")
    page = operator.store.read(report.report_html.removeprefix(operator.store.url("")))
    assert page is not None
    assert b"user_id" in page
    assert target_rows(operator) == broken.rows_before
    [message] = [line for line in broken.log.splitlines() if line.startswith("FAILED")]
    assert "task=validate_raw" in message
    assert "rows have no user_id" in message
    assert "Next: " in message


def test_nothing_personal_is_told(played: Played, next_day: NextDay, broken: Broken) -> None:
    """Of a run: its log, what Airflow keeps of it, reports and manifests, and our own tables."""
    players = next_day.validated.manifest("clean", CleanManifest).sources["players"]
    kept = [
        row["record"]
        for key in players.quarantine_files
        for row in pq.read_table(io.BytesIO(played.operator.store.read(key))).to_pylist()
    ]
    assert any(NAME in record for record in kept), "it was there to be told"

    told = {"log": next_day.log + broken.log, "breach": next_day.breach}
    with create_session() as session:
        for table in ("xcom", "dag_run"):
            told[table] = repr(session.execute(text(f"SELECT * FROM {table}")).all())
            assert told[table] != "[]", table
    for table in ("pipeline_runs", "alerts", "quality_results"):
        [(told[table],)] = played.operator.query(
            f"SELECT string_agg(t::text, ' ') FROM ml_features.{table} t"
        )
    told |= {
        f"{operator.bucket}/{entry.key}": operator.store.read(entry.key).decode(errors="replace")
        for operator in (played.operator, broken.operator)
        for entry in operator.store.list("crmbet/")
        if entry.key.endswith((".json", ".html"))
    }
    assert sum("/reports/" in place for place in told) >= 4
    found = {place: [one for one in (NAME, MAIL, DOCUMENT) if one in said] for place, said in told.items()}
    assert {place: canaries for place, canaries in found.items() if canaries} == {}
