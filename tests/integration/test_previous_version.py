"""A store, a source and a target of the previous version, which the present code goes on with.

An upgrade captures nothing a second time. Since the rules of cleaning have changed, it cleans and summarises every day
anew, once: the sample has nothing that the new rules read in another way, so every row has the same fate, and no cell
of a column that was there changes. What was frozen or fitted still counts. previous_version/README.md says where the
files come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import psycopg2
import pytest
from pydantic import BaseModel

from crmbet import FEATURE_SET_VERSION
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_table_contract
from crmbet.extract.records import UNDATED, Capture, ExtractManifest, SourceCaptures
from crmbet.features.records import FeatureManifest
from crmbet.learning.cut_offs import FrozenCutOffs
from crmbet.learning.records import ModelFit, ModelRun
from crmbet.load.records import BackupManifest, LoadManifest
from crmbet.load.restore import restore
from crmbet.load.session import LoadSession
from crmbet.quality.records import QualityManifest
from crmbet.run.records import RunRecord, manifest_key
from crmbet.run.settings import Settings
from crmbet.run.tasks import TASKS
from crmbet.storage.layout import DONE, INDEX, Layout
from crmbet.storage.object_store import ObjectStore
from crmbet.sweep import plan_sweep
from local.postgres import SUPERUSER
from tests.integration.pipeline_process import (
    ChangingOperator,
    extracts,
    features,
    finish,
)
from tests.integration.previous_version.files import (
    FOLDER,
    put_objects,
    read_archive,
    restore_database,
    run_sql,
)
from tests.integration.previous_version.make_store import (
    DERIVED_AS_OF,
    FIRST_AS_OF,
    LAST_AS_OF,
    SETTINGS,
    TRANSACTION,
)
from tests.integration.roles import LOADER, create_roles

pytestmark = pytest.mark.integration

LAYOUT = Layout(brand="default")
NEXT_AS_OF = LAST_AS_OF + timedelta(days=1)
PAST_THE_GRACE = timedelta(days=30)
SUMMARIES = ("captures", "cleaned", "quarantine", "state", "sessions", "session_bets", "state_blocks")
"""Folders of what is made once and found again. All of a history is in them, so making it again is costly."""
LEARNED = ("thresholds", "baselines")
"""Folders of what stays as it was first frozen."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Upgraded:
    """An operator that has come from the previous version, after a run for the last as_of that it had run."""

    operator: Any
    objects: Mapping[str, bytes]
    """What the bucket held before."""
    rows: list[dict[str, Any]]
    """The table before."""
    history: dict[tuple[str, date], str]
    """Row hashes by player and as_of, before."""
    again: Any
    rows_after_again: list[dict[str, Any]]
    history_after_again: dict[tuple[str, date], str]
    made_again: set[str]
    """Keys that the run for the same as_of has written."""

    @property
    def added_columns(self) -> set[str]:
        """Columns of the table that the previous version did not know."""
        return self.rows_after_again[0].keys() - self.rows[0].keys()

    @property
    def old_features(self) -> set[str]:
        """Features that the previous version computed."""
        return load_table_contract().features.keys() & self.rows[0].keys()

    def old_manifest(self, as_of: date, task: str, model: type[Model]) -> Model:
        """What a task of the previous version left for an as_of."""
        return model.model_validate_json(self.objects[self.old_key(as_of, task)])

    def old_key(self, as_of: date, task: str) -> str:
        """Its key."""
        [prefix] = [
            key.removesuffix("run.json")
            for key, content in self.objects.items()
            if key.startswith(LAYOUT.runs)
            and key.endswith("/run.json")
            and RunRecord.model_validate_json(content).as_of_date == as_of
        ]
        return manifest_key(prefix, task)


@dataclass(frozen=True)
class NextDay:
    """The same operator after the next delivery and the run for the next as_of."""

    upgraded: Upgraded
    run: Any
    made: set[str]
    """Keys that the run has written."""

    @property
    def store(self) -> ObjectStore:
        store: ObjectStore = self.upgraded.operator.store
        return store


def table_rows(operator: Any) -> list[dict[str, Any]]:
    rows = operator.query("SELECT to_jsonb(row) FROM ml_features.user_features AS row ORDER BY user_id")
    return [row for (row,) in rows]


OF_FITS = frozenset(
    {
        "churn_prob_30d",
        "churn_risk_score",
        "clv_12m",
        "customer_lifetime_value_score",
        "expected_deposit_days_30d",
        "expected_deposit_value",
        "p_alive",
    }
)
"""Columns that follow from fitted parameters. The search goes on for longer now, along the flat ridge of 45 players."""
SERVED = ("deposit_days", "activity_days", "deposit_values")
"""The fitted models of a run."""
NOT_WORSE = 1e-6
"""What a log-likelihood may lose by rounding."""


def cells_of(rows: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in rows]


def row_hashes(operator: Any) -> dict[str, str]:
    return dict(operator.query("SELECT user_id, row_hash FROM ml_features.user_features"))


def history_hashes(operator: Any) -> dict[tuple[str, date], str]:
    found = operator.query(
        """
        SELECT user_id, (as_of AT TIME ZONE 'America/Sao_Paulo')::date, row_hash
        FROM ml_features.user_features_history
        """
    )
    return {(user, as_of): row_hash for user, as_of, row_hash in found}


def keys(store: ObjectStore) -> set[str]:
    return {entry.key for entry in store.list("")}


def below(folders: tuple[str, ...], found: set[str]) -> set[str]:
    """The keys that are in one of some folders below our prefix."""
    return {key for key in found if key.startswith(tuple(f"{LAYOUT.root}{name}/" for name in folders))}


def fields(record: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names in a record of JSON, each with those above it."""
    if isinstance(record, dict):
        for name, value in record.items():
            yield (*path, name)
            yield from fields(value, (*path, name))
    if isinstance(record, list):
        for value in record:
            yield from fields(value, path)


def fits(models: ModelRun) -> list[ModelFit]:
    """The parameters that the models of a run were served with."""
    return [served.fit for name in SERVED if (served := getattr(models, name)).fit is not None]


def extracted(run: Any) -> dict[str, SourceCaptures]:
    manifests = [run.manifest(task, ExtractManifest) for task in ("extract_s3", "extract_pg")]
    return {name: source for manifest in manifests for name, source in manifest.sources.items()}


@pytest.fixture(scope="module")
def upgraded(open_operator: Callable[..., Any], new_environment: pytest.MonkeyPatch) -> Upgraded:
    operator = open_operator(as_loader=True)
    for name, value in SETTINGS.items():
        new_environment.setenv(name, value)
    # The backup is older than thirty days, and a load would drop it.
    new_environment.setenv("CRMBET_BACKUP_RETENTION_DAYS", "36500")

    objects = read_archive("store.tar.xz")
    put_objects(operator.store, objects)
    restore_database(operator.source_url, "source.sql.xz")
    admin_url = operator.target_url.replace(f"{LOADER}@", f"{SUPERUSER}@")
    run_sql(admin_url, "DROP SCHEMA ml_features")
    restore_database(admin_url, "target.sql.xz")
    create_roles(admin_url)
    rows, history = table_rows(operator), history_hashes(operator)

    again = operator.execute(TASKS, run_id="again", as_of=LAST_AS_OF.isoformat())

    return Upgraded(
        operator=operator,
        objects=objects,
        rows=rows,
        history=history,
        again=again,
        rows_after_again=table_rows(operator),
        history_after_again=history_hashes(operator),
        made_again=keys(operator.store) - objects.keys(),
    )


@pytest.fixture(scope="module")
def new_environment() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def next_day(upgraded: Upgraded, new_environment: pytest.MonkeyPatch) -> NextDay:
    operator = upgraded.operator
    put_objects(operator.store, read_archive("next_delivery.tar.xz"))
    with (
        (FOLDER / "next_transactions.csv").open(encoding="utf-8") as rows,
        closing(psycopg2.connect(operator.source_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.copy_expert("COPY tbl_transactions FROM STDIN (FORMAT csv)", rows)
    before = keys(operator.store)
    # So many players are not there: the models have to be those of earlier runs.
    new_environment.setenv("CRMBET_MIN_MODEL_COHORT", "1000")

    run = operator.run(logical_date=None, run_conf={"as_of": NEXT_AS_OF.isoformat()})
    assert run.state == "success", run.states

    return NextDay(upgraded, run, keys(operator.store) - before)


def test_the_sample_has_all_that_a_store_can_hold(upgraded: Upgraded) -> None:
    folders = {
        key.removeprefix(LAYOUT.root).partition("/")[0] for key in upgraded.objects if LAYOUT.is_ours(key)
    }
    others = {"models", "feature_tables", "runs", "reports"}
    assert folders == {*SUMMARIES, *LEARNED, *others} - {"sessions"}
    assert all(LAYOUT.is_ours(key) for key in upgraded.objects if not key.startswith("raw/"))
    assert {
        key.partition("/")[2].partition("/")[0] for key in upgraded.objects if key.startswith("raw/")
    } == {
        "bets",
        "communications",
        "limits",
        "players",
        "sessions",
    }
    # This store has a feed of sessions, so no session is derived from bets. Another sample has derived ones.
    assert {as_of for _, as_of in upgraded.history} == {FIRST_AS_OF, LAST_AS_OF}
    assert len(upgraded.rows) > 30
    cleaned = upgraded.old_manifest(LAST_AS_OF, "clean", CleanManifest).sources
    assert sum(sum(source.quarantined.values()) for source in cleaned.values()) > 10
    assert sum(source.duplicates for source in cleaned.values()) > 5


def test_every_task_is_repeated_without_airflows_database(upgraded: Upgraded) -> None:
    assert upgraded.again.manifests() == {"run", *TASKS}
    for task, result in upgraded.again.returned.items():
        assert result["manifest"].endswith(f"{task}.json")


def test_nothing_is_captured_a_second_time(upgraded: Upgraded) -> None:
    for name, source in extracted(upgraded.again).items():
        assert (source.new, source.changed, source.touched_days) == (0, {}, []), name
        assert source.unreadable == [], name
    old = {
        name: source
        for task in ("extract_s3", "extract_pg")
        for name, source in upgraded.old_manifest(LAST_AS_OF, task, ExtractManifest).sources.items()
    }
    # Captures of a month that is over may have moved to another file.
    content = {
        "captures": {"__all__": Capture.model_fields.keys() - {"files", "chunks_in_files", "joined_at"}}
    }
    for name, source in extracted(upgraded.again).items():
        assert source.model_dump(include=content) == old[name].model_dump(include=content)


def test_every_day_is_cleaned_anew_and_every_row_has_the_same_fate(upgraded: Upgraded) -> None:
    cleaned = upgraded.again.manifest("clean", CleanManifest).sources
    old = upgraded.old_manifest(LAST_AS_OF, "clean", CleanManifest).sources
    fates: dict[str, Any] = {"days": {"__all__": {"day", "rows", "duplicates", "unknown_yet", "quarantined"}}}
    totals: dict[str, Any] = dict.fromkeys(
        ("extracted", "accepted", "duplicates", "quarantined", "outside"), True
    )
    for name, source in cleaned.items():
        assert {day.day for day in source.days} <= {*source.made}, name
        assert source.model_dump(include=fates | totals) == old[name].model_dump(include=fates | totals)
    captures = [capture for source in extracted(upgraded.again).values() for capture in source.captures]
    joined = {key for capture in captures if capture.joined_at for key in capture.files}
    made = below(("captures", *LEARNED), upgraded.made_again)
    assert {key for key in made if not key.endswith(DONE) and INDEX not in key} == joined
    features = upgraded.again.manifest("engineer_features", FeatureManifest)
    before = upgraded.old_manifest(LAST_AS_OF, "engineer_features", FeatureManifest)
    assert features.days_built == features.days == before.days
    assert (features.state_rows, features.session_rows) == (before.state_rows, before.session_rows)


def test_the_table_and_its_history_stay_as_they_were(upgraded: Upgraded) -> None:
    load = upgraded.again.manifest("load_merge", LoadManifest)
    assert (load.staged, load.inserted, load.removed, load.marked) == (len(upgraded.rows), 0, 0, 0)
    if upgraded.added_columns:
        # A feature that was added since gives every row another hash, so each of them is written once.
        compared = upgraded.old_features - OF_FITS
        assert cells_of(upgraded.rows_after_again, compared) == cells_of(upgraded.rows, compared)
        for new, old in zip(upgraded.rows_after_again, upgraded.rows, strict=True):
            assert {name for name in OF_FITS if new[name] is None} == {
                name for name in OF_FITS if old[name] is None
            }
            assert new["p_alive"] == pytest.approx(old["p_alive"], abs=0.05)
        assert upgraded.history_after_again.keys() == upgraded.history.keys()
        return
    assert (load.updated, load.unchanged) == (0, len(upgraded.rows))
    assert upgraded.rows_after_again == upgraded.rows, "updated_at and row_hash too"
    assert upgraded.history_after_again == upgraded.history


def test_what_is_written_has_the_fields_that_the_old_version_wrote(upgraded: Upgraded) -> None:
    # Other programs read the manifests, and after a step back the old version has to.
    for task in ("run", *upgraded.again.states):
        old = json.loads(upgraded.objects[upgraded.old_key(LAST_AS_OF, task)])
        new = json.loads(
            upgraded.operator.store.read(manifest_key(LAYOUT.run(upgraded.again.run_id), task)) or "{}"
        )
        # What has changed is named by its chunk, and nothing has changed.
        assert {path for path in fields(old) if "changed" not in path} <= {*fields(new)}, task


def test_a_run_for_the_same_day_learns_what_the_old_one_did(upgraded: Upgraded) -> None:
    old = upgraded.old_manifest(LAST_AS_OF, "engineer_features", FeatureManifest).learned
    new = upgraded.again.manifest("engineer_features", FeatureManifest).learned
    assert old is not None
    assert new is not None
    assert new.cut_offs == pytest.approx(old.cut_offs, rel=1e-9)
    for name in SERVED:
        fit, before = getattr(new.models, name), getattr(old.models, name)
        if fit.is_fallback:
            assert "sits on a bound" in fit.problem, "where the search of the old version ended before it"
        else:
            assert fit.fit.log_likelihood >= before.fit.log_likelihood - NOT_WORSE
            assert (fit.fit.as_of, fit.fit.patterns) == (before.fit.as_of, before.fit.patterns)
        assert fit.cohort == before.cohort


@pytest.mark.full
def test_the_next_delivery_touches_only_its_days(next_day: NextDay) -> None:
    delivered = read_archive("next_delivery.tar.xz").keys()
    sources = extracted(next_day.run)
    lake = [source for name, source in sources.items() if name != "transactions"]
    assert {chunk for source in lake for chunk in source.changed} == delivered
    assert sum(source.new for source in lake) == len(delivered)
    assert sources["transactions"].changed.keys() <= {LAST_AS_OF.isoformat(), NEXT_AS_OF.isoformat()}
    for name, source in sources.items():
        day = UNDATED if name == "players" else LAST_AS_OF.isoformat()
        assert source.touched_days == [day], name
    cleaned = next_day.run.manifest("clean", CleanManifest).sources
    for name, source in cleaned.items():
        assert source.made == [LAST_AS_OF], name
    features = next_day.run.manifest("engineer_features", FeatureManifest)
    assert features.days_built == 1
    assert features.sessions_built <= 2, "a session may have gone on over midnight"
    before = next_day.upgraded.again.manifest("engineer_features", FeatureManifest)
    assert {*before.state_files} < {*features.state_files}


@pytest.mark.full
def test_the_next_day_is_merged_and_the_old_history_holds(next_day: NextDay) -> None:
    operator = next_day.upgraded.operator
    load = next_day.run.manifest("load_merge", LoadManifest)
    hashes = row_hashes(operator)
    assert load.staged == load.inserted + load.updated == len(hashes) >= len(next_day.upgraded.rows)
    history = history_hashes(operator)
    assert next_day.upgraded.history_after_again.items() <= history.items()
    assert {user: row_hash for (user, as_of), row_hash in history.items() if as_of == NEXT_AS_OF} == hashes


@pytest.mark.full
def test_cut_offs_that_the_old_version_froze_still_count(next_day: NextDay) -> None:
    folder = LAYOUT.cut_offs(FEATURE_SET_VERSION)
    [frozen] = [
        FrozenCutOffs.model_validate_json(content)
        for key, content in next_day.upgraded.objects.items()
        if key.startswith(folder)
    ]
    assert frozen.as_of == FIRST_AS_OF
    assert len(frozen.cut_offs) >= 5
    learned = next_day.run.manifest("engineer_features", FeatureManifest).learned
    assert learned is not None
    assert learned.cut_offs == pytest.approx(frozen.cut_offs, rel=1e-9)
    assert below(LEARNED[:1], next_day.made) == set()


@pytest.mark.full
def test_models_that_the_old_version_fitted_serve_where_there_are_too_few_players(next_day: NextDay) -> None:
    old = next_day.upgraded.old_manifest(LAST_AS_OF, "engineer_features", FeatureManifest).learned
    new = next_day.run.manifest("engineer_features", FeatureManifest).learned
    assert old is not None
    assert new is not None
    assert [fit.as_of for fit in fits(new.models)] == [LAST_AS_OF] * 3
    # They are the newest of that as_of, so a run for the same day may have fitted them again.
    for fit, before in zip(fits(new.models), fits(old.models), strict=True):
        assert fit.log_likelihood >= before.log_likelihood - NOT_WORSE
    assert new.models.activity_days.is_fallback
    [(scored,)] = next_day.upgraded.operator.query(
        "SELECT count(*) FROM ml_features.user_features WHERE churn_prob_30d IS NOT NULL"
    )
    assert scored > 20


@pytest.mark.full
@pytest.mark.parametrize(("task", "stage"), [("validate_raw", "raw"), ("validate", "features")])
def test_a_gate_compares_with_the_old_baseline(next_day: NextDay, task: str, stage: str) -> None:
    manifest = next_day.run.manifest(task, QualityManifest)
    report = next_day.store.read(manifest.report_json.removeprefix(next_day.store.url("")))
    assert manifest.passed
    assert report is not None
    assert f"Baseline: frozen as of {FIRST_AS_OF}.".encode() in report
    # That of the features grows by a weekday each day of its first week; none is begun.
    baselines = {key for key in next_day.made if key.startswith(LAYOUT.baselines(stage))}
    assert all(f"/frozen={FIRST_AS_OF}/" in key for key in baselines)
    assert len(baselines) == (1 if stage == "features" else 0)


@pytest.mark.full
def test_a_sweep_plans_to_remove_nothing_that_is_live(next_day: NextDay) -> None:
    settings = Settings.from_environ({"CRMBET_LAKE_BUCKET": next_day.upgraded.operator.bucket})
    plan = plan_sweep(next_day.store, LAYOUT, settings, datetime.now(UTC) + PAST_THE_GRACE)
    assert plan.unknown == [], "the layout knows every key that the old version wrote"
    captures = [capture for source in extracted(next_day.run).values() for capture in source.captures]
    cleaned = next_day.run.manifest("clean", CleanManifest).sources.values()
    features = next_day.run.manifest("engineer_features", FeatureManifest)
    live = {
        *(key for capture in captures for key in capture.files),
        *(key for source in cleaned for day in source.days for key in (*day.files, *day.quarantine_files)),
        *(features.state_files + features.session_files + features.files),
    }
    assert live
    assert live.isdisjoint(plan.objects)
    # Segments hold what the old version kept in thirty-day files, too, and what it made has been made again.
    assert below(("state_blocks",), {*next_day.upgraded.objects}) <= {*plan.done_files, *plan.objects}


@pytest.mark.full
def test_a_backup_of_the_old_version_can_be_put_back(next_day: NextDay) -> None:
    operator, upgraded = next_day.upgraded.operator, next_day.upgraded
    backup = upgraded.old_manifest(LAST_AS_OF, "backup_table", BackupManifest)
    assert backup.backup is not None
    before = history_hashes(operator)

    with closing(psycopg2.connect(operator.target_url)) as connection:
        session = LoadSession(
            connection=connection,
            contract=load_table_contract(),
            run_id="after the upgrade",
            lock_timeout_seconds=5,
        )
        restored = restore(session, backup.backup, datetime.now(UTC))

    assert (restored.rows, restored.changed) == (backup.rows, True)
    first = {user: row_hash for (user, as_of), row_hash in upgraded.history.items() if as_of == FIRST_AS_OF}
    assert row_hashes(operator) == first
    assert history_hashes(operator) == before


@pytest.mark.full
def test_sessions_that_the_old_version_derived_from_bets_are_derived_again(
    open_changing_operator: Callable[[], ChangingOperator],
) -> None:
    operator = open_changing_operator()
    put_objects(operator.site.store, read_archive("derived_sessions.tar.xz"))
    operator.sql(TRANSACTION)
    old, new = operator.attempt(DERIVED_AS_OF), operator.attempt(DERIVED_AS_OF)
    before = keys(operator.site.store)

    finish(operator.site, new)

    assert {name: source.new for name, source in extracts(operator.site, new).sources.items()} == {
        "bets": 0,
        "transactions": 0,
    }
    made, found = features(operator.site, new), features(operator.site, old)
    assert made.days_built == made.days == found.days
    assert made.sessions_built >= len(found.session_files) > 0
    assert made.session_rows == found.session_rows > 0
    assert made.users == found.users == 2
    folders = {key.split("/")[2] for key in keys(operator.site.store) - before}
    assert folders.isdisjoint({"captures", *LEARNED})
