"""Each single corruption of clean data trips the check that it should, and nothing else that its entry does not name.

The corruptions are data, in mutations.yaml; the clean data are made by clean_raw.sql and clean_features.sql.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.statements import Fragment
from crmbet.extract.records import Capture, DayCount, Objects, SourceCaptures
from crmbet.quality.checks import CHECKS, REQUIRED_CHECKS, Stage
from crmbet.quality.gate import check
from crmbet.quality.known import Known, KnownFeature
from crmbet.quality.measures.feature_tables import create_feature_tables
from crmbet.quality.measures.profile import Profile
from crmbet.quality.measures.raw_tables import (
    create_days,
    create_protection,
    create_raw_drift,
    create_references,
    create_sources,
    judge_days,
    mark_repeated,
    measure_source,
)
from crmbet.quality.report import Report, Subject
from crmbet.quality.stages import FEATURE_VIEWS
from crmbet.quality.suites import EXPECTATIONS, Suite
from crmbet.quality.thresholds import thresholds_of
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
MUTATIONS: dict[str, list[dict[str, Any]]] = yaml.safe_load((HERE / "mutations.yaml").read_text())
SOURCES = load_source_contracts()
AS_OF = datetime(2026, 11, 22, 3, tzinfo=UTC)
RUN = Run(
    run_id="manual__2026-11-22",
    window=Window(as_of_date=date(2026, 11, 22), as_of=AS_OF),
    known_at=AS_OF + timedelta(hours=2),
    params=RunParams(),
    settings=Settings.of(lake_bucket="lake", min_rows_per_day=10),
)
SUBJECT = Subject(run_id=RUN.run_id, as_of=AS_OF, known_at=RUN.known_at)
USERS = 1000
COUNT = {
    "type": "expect_table_row_count_to_be_between",
    "description": "A suite has to count rows",
    "kwargs": {"min_value": 1},
    "meta": {"check": "completeness", "severity": "CRITICAL"},
}

TABLE = load_table_contract()


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Clean data of both stages, copies of which are corrupted."""
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        for name in ("clean_raw", "clean_features"):
            opened.execute((HERE / f"{name}.sql").read_text())
        for (table,) in opened.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            columns = ", ".join(["row", *TABLE.computed]) if table == "features" else "*"
            opened.execute(f"CREATE TABLE clean_{table} AS SELECT {columns} FROM {table}")
        yield opened


@pytest.fixture(scope="module")
def baselines(engine: duckdb.DuckDBPyConnection) -> dict[str, Profile]:
    """The clean data's distributions."""
    raw = {
        name: measure_source(engine, of, Fragment(f"clean_{name}")).profile for name, of in SOURCES.items()
    }
    engine.execute("CREATE VIEW clean_users AS SELECT * EXCLUDE (row) FROM clean_features")
    features = create_feature_tables(
        engine, Fragment("clean_users"), TABLE, Known(features=[], pairs=[]), None, min_feature_fill=0.01
    )
    return {**raw, "user_features": features.profile}


@pytest.fixture
def narrow(tmp_path: Path) -> Callable[[str], Path]:
    """The suites without what they expect of single columns that a statement does not name, and so cannot trip."""

    def write(statement: str) -> Path:
        shutil.copytree(EXPECTATIONS, tmp_path, dirs_exist_ok=True)
        path = tmp_path / "features" / "user_features.json"
        # Every check must expect something.
        named = {*re.findall(r"\w+", statement), "churn_risk_score"}
        suite = json.loads(path.read_text())
        suite["expectations"] = [
            {**entry, "each": None, **single.model_dump(mode="json", include={"description", "kwargs"})}
            for entry in suite["expectations"]
            for single in Suite.model_validate({**suite, "expectations": [COUNT, entry]})
            .for_table(TABLE)
            .expectations[1:]
            if "each" not in entry or named & {*re.findall(r"\w+", str(single.kwargs))}
        ]
        path.write_text(json.dumps(suite))
        return tmp_path

    return write


@pytest.fixture
def judge(
    engine: duckdb.DuckDBPyConnection, baselines: dict[str, Profile], narrow: Callable[[str], Path]
) -> Callable[..., Report]:
    """Corrupt clean data and judge them: all of a stage, or of the raw stage what one source has a part in."""

    def run(stage: str, statement: str = "", source: str | None = None) -> Report:
        for (table,) in engine.execute(
            "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND table_name LIKE 'clean_%'"
        ).fetchall():
            engine.execute(f"CREATE OR REPLACE TABLE {table.removeprefix('clean_')} AS FROM {table}")
        engine.execute(statement)
        if stage == "raw":
            return judge_raw(engine, baselines, source)
        whole = statement.startswith("ALTER") or not statement
        return judge_features(engine, baselines, EXPECTATIONS if whole else narrow(statement))

    return run


def judge_raw(engine: duckdb.DuckDBPyConnection, baselines: dict[str, Profile], source: str | None) -> Report:
    for name in SOURCES:
        engine.execute(f"CREATE OR REPLACE TEMP VIEW raw_{name} AS {marked(engine, name)}")
    engine.execute("CREATE OR REPLACE TEMP VIEW raw_files AS FROM files")
    create_sources(engine, RUN, captures(engine), SOURCES, dict(engine.execute("FROM snapshots").fetchall()))
    create_days(engine, judge_days(engine, SOURCES["bets"], Fragment("changed")))
    create_references(engine, ["bets", "transactions", "sessions", "communications"])
    create_protection(engine, [(name, Fragment(name)) for name in ("players", "limits")])
    involved = [source] if source in SOURCES else list(SOURCES)
    measured = {
        name: measure_source(engine, SOURCES[name], Fragment(name), baselines[name]) for name in involved
    }
    views = {*(f"raw_{name}" for name in involved), "raw_protection", "raw_references"}
    if create_raw_drift(engine, measured, baselines):
        views.add("raw_drift")
    if source not in SOURCES:
        views = views - {f"raw_{name}" for name in SOURCES} if source else views
        views |= {"raw_sources", "raw_days", "raw_files"}
    return check(
        engine,
        stage="raw",
        views=views,
        thresholds=thresholds_of(RUN, TABLE),
        subject=SUBJECT,
        table=TABLE,
        only_these=source is not None,
    )


def marked(engine: duckdb.DuckDBPyConnection, name: str) -> str:
    earlier = {"bets", "transactions"} & {name}
    return mark_repeated(
        engine, SOURCES[name], Fragment(name), Fragment(f"earlier_{name}") if earlier else None
    )


def captures(engine: duckdb.DuckDBPyConnection) -> dict[str, SourceCaptures]:
    passed_over = {
        source: {"ending": Objects(count=count, bytes=10, examples=["part.txt"])}
        for source, count in engine.execute("FROM passed_over").fetchall()
    }
    found: dict[str, dict[str, DayCount]] = {"players": {}}
    for source, day, rows in engine.execute("FROM captured ORDER BY ALL").fetchall():
        found.setdefault(source, {})[day.isoformat()] = DayCount(rows=rows, fingerprint="1")
    texts = {source: sizes for source, *sizes in engine.execute("FROM texts").fetchall()}
    return {
        source: SourceCaptures(
            captures=[
                Capture(
                    source=source,
                    chunk="part",
                    digest="d",
                    files=["part"],
                    extracted=sum(day.rows for day in days.values()),
                    size=texts.get(source, (0, 0))[0],
                    set_aside=texts.get(source, (0, 0))[1],
                    days=days,
                    captured_at=AS_OF,
                    made_at=AS_OF,
                )
            ],
            passed_over=passed_over.get(source, {}),
        )
        for source, days in found.items()
    }


def judge_features(
    engine: duckdb.DuckDBPyConnection, baselines: dict[str, Profile], folder: Path = EXPECTATIONS
) -> Report:
    engine.execute("CREATE OR REPLACE TEMP VIEW user_features AS SELECT * EXCLUDE (row) FROM features")
    create_feature_tables(
        engine,
        Fragment("user_features"),
        TABLE,
        Known(features=[], pairs=[]),
        baselines["user_features"],
        min_feature_fill=0.01,
    )
    return check(
        engine,
        stage="features",
        views=FEATURE_VIEWS,
        thresholds=thresholds_of(RUN, TABLE, users=USERS),
        subject=SUBJECT,
        table=TABLE,
        folder=folder,
    )


def tripped(report: Report) -> dict[str, list[str]]:
    return {
        result.check.label: [
            f"{breach.view}: {breach.title} {breach.keys[:2]} {breach.error}" for breach in result.breaches
        ]
        for result in report.checks
        if not result.passed
    }


@pytest.mark.parametrize("stage", ["raw", "features"])
def test_clean_data_pass_all_checks_and_no_rule_waits(stage: Any, judge: Callable[..., Report]) -> None:
    report = judge(stage)
    assert tripped(report) == {}
    assert {result.check for result in report.checks} == REQUIRED_CHECKS[stage]
    assert report.waiting == ()
    assert (report.score, report.quality_grade) == (1, "A")


def test_a_report_says_by_how_much_a_feature_has_moved(judge: Callable[..., Report]) -> None:
    report = judge("features", "UPDATE features SET bet_volatility = bet_volatility * 1e6", "features")
    [outcome] = [
        each for each in report.outcomes if each.view == "feature_drift" and "Kolmogorov" in each.title
    ]
    assert [re.sub(r"0\.\d+", "0.x", key) for key in outcome.keys] == ["feature=bet_volatility ks=0.x"]


def test_of_an_excused_shape_quartiles_still_count(
    engine: duckdb.DuckDBPyConnection, baselines: dict[str, Profile]
) -> None:
    excused = KnownFeature(feature="bet_volatility", measures=["shape"], why="for this test alone")
    for factor, moved in ((1.5, False), (1e6, True)):
        engine.execute(
            f"CREATE OR REPLACE TEMP VIEW other AS SELECT * REPLACE (bet_volatility * {factor} AS bet_volatility) "
            "FROM clean_users"
        )
        create_feature_tables(
            engine, Fragment("other"), TABLE, Known(features=[excused], pairs=[]), baselines["user_features"],
            min_feature_fill=0.01,
        )  # fmt: skip
        found = engine.execute(
            "SELECT baseline_rows > 0, psi, ks, quartile_shift > 0.5 FROM feature_drift "
            "WHERE feature = 'bet_volatility'"
        ).fetchall()
        assert found == [(True, None, None, moved)]


CASES = [
    pytest.param(
        stage,
        mutation,
        id=f"{stage}: {mutation['name']}",
    )
    for stage, mutations in MUTATIONS.items()
    for mutation in mutations
]


@pytest.mark.few(5)
@pytest.mark.parametrize(("stage", "mutation"), CASES)
def test_a_corruption_trips_its_check_and_no_other(
    stage: str, mutation: dict[str, Any], judge: Callable[..., Report]
) -> None:
    words = mutation["do"].replace("INSERT INTO", "UPDATE").replace("DELETE FROM", "UPDATE").split()
    source = words[2] if words[0] == "ALTER" else words[1]
    # Half a snapshot shows in what refers to it.
    report = judge(stage, mutation["do"], None if source == "players" and words[0] != "UPDATE" else source)
    found = tripped(report)
    expected = {mutation["trips"], *mutation.get("also", {})}
    assert set(found) == expected, found


def test_the_list_is_long_and_of_every_check() -> None:
    assert len(CASES) >= 40
    stages: tuple[Stage, ...] = ("raw", "features")
    assert MUTATIONS.keys() == {*stages}
    for stage in stages:
        mutations = MUTATIONS[stage]
        assert {CHECKS[each["trips"]] for each in mutations} == REQUIRED_CHECKS[stage]
        assert all(set(each.get("also", {})) <= CHECKS.keys() for each in mutations)


@pytest.mark.parametrize(
    ("stage", "table"), [("raw", "bets"), ("raw", "transactions"), ("features", "features")]
)
def test_an_empty_table_fails(stage: str, table: str, judge: Callable[..., Report]) -> None:
    found = tripped(judge(stage, f"DELETE FROM {table}", table))
    assert "completeness" in found
