"""The gate on data: clean data pass, each corruption trips what it should, nothing is green by absence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import SourceContract
from crmbet.quality.checks import Check, Stage
from crmbet.quality.gate import check
from crmbet.quality.report import Outcome, Report, Subject
from crmbet.quality.suites import EXPECTATIONS, BadSuite, Suite, Threshold, load_suites
from crmbet.quality.thresholds import thresholds_of_settings
from crmbet.run.settings import Settings
from crmbet.texts import texts_in
from tests.tiers import now

pytestmark = pytest.mark.integration

SOURCES = load_source_contracts()
TABLE = load_table_contract()
RAW_SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in load_suites("raw")
    if suite.name in {*(f"raw_{name}" for name in SOURCES), "raw_files"}
}
"""The suites of what was delivered; those of tables about it are tested by mutations."""
(FEATURES,) = (suite.for_table(TABLE) for suite in load_suites("features") if suite.name == "user_features")
SUITES = {**RAW_SUITES, FEATURES.name: FEATURES}

ABOUT_RAW = ("raw_days", "raw_drift", "raw_protection", "raw_references")
"""Tables about what was delivered, which may be absent."""

UNITS_BESIDE_A_WHALE = round(100**2 / (15**2 + 85))
"""Kish's effective number of players, if one has fifteen of a hundred bets and 85 others have one each."""

Judge = Callable[..., Report]


@pytest.fixture
def judge(connection: duckdb.DuckDBPyConnection, thresholds: dict[str, Threshold], subject: Subject) -> Judge:
    """Run the gate on some views of one stage."""

    def run(
        *views: str,
        folder: Path = EXPECTATIONS,
        only_these: bool = True,
        docs: Path | None = None,
        **options: Any,
    ) -> Report:
        stage: Stage = "features" if FEATURES.name in views else "raw"
        judged = {*views} if stage == "features" else {*views, "raw_files"}
        return check(
            connection,
            stage=stage,
            views=judged,
            thresholds=thresholds,
            subject=subject,
            table=TABLE,
            only_these=only_these,
            docs=docs,
            folder=folder,
            **options,
        )

    return run


@pytest.fixture
def rewrite(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a small suite of the features: an entry of each check that passes, and those given."""

    def copy(*entries: dict[str, Any]) -> Path:
        suite = json.loads((EXPECTATIONS / "features" / "user_features.json").read_text())
        passing = [entry("expect_rows_to_satisfy", each, condition="true", tolerance=0) for each in Check]
        passing[0] = suite["expectations"][0]
        for each in passing[1:]:
            each["description"] = f"all is well with {each['meta']['check']}"
        suite["expectations"] = [*passing, *entries]
        (tmp_path / "features").mkdir()
        (tmp_path / "features" / "user_features.json").write_text(json.dumps(suite))
        return tmp_path

    return copy


def entry(type_: str, check_: Check = Check.VALUE_RANGE, **kwargs: Any) -> dict[str, Any]:
    meta = {"check": check_.label, "severity": check_.severity}
    return {"type": type_, "description": "an entry of the test", "kwargs": kwargs, "meta": meta}


def failed(report: Report, view: str) -> set[str]:
    return {outcome.title for outcome in report.outcomes if outcome.view == view and not outcome.passed}


def find(report: Report, view: str, title: str) -> Outcome:
    (outcome,) = (outcome for outcome in report.outcomes if (outcome.view, outcome.title) == (view, title))
    return outcome


def described(view: str, check_: Check | None = None, type_: str | None = None) -> set[str]:
    """Descriptions of a suite's entries of a check, a type, or both."""
    return {
        entry.description
        for entry in SUITES[view].expectations
        if check_ in (None, entry.check) and type_ in (None, entry.type)
    }


# Clean data


def test_clean_data_pass_whole(judge: Judge) -> None:
    for views in (list(RAW_SUITES), [FEATURES.name]):
        report = judge(*views)
        assert [outcome for outcome in report.outcomes if not outcome.passed] == []
        assert (report.score, report.quality_grade, report.critical_issues, report.absent) == (
            1.0,
            "A",
            (),
            ABOUT_RAW if views != [FEATURES.name] else (),
        )
        assert len(report.outcomes) == sum(len(SUITES[view].expectations) for view in views)


def test_dirt_within_tolerance_passes_and_is_shown(
    connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    connection.execute("UPDATE bets SET user_id = NULL, _fault = 'user_id: missing' WHERE _row < 4")
    connection.execute("INSERT INTO bets FROM bets WHERE _row = 50")
    report = judge("raw_bets", "raw_transactions")
    assert report.score == 1
    assert find(report, "raw_bets", "No row that is accepted lacks its user_id").unexpected_share == 0
    for title in (
        "user_id is filled",
        "Few rows lack their user_id (they go to quarantine)",
        "Rows satisfy the contract",
    ):
        outcome = find(report, "raw_bets", title)
        assert outcome.unexpected_share == pytest.approx(4 / 101)
        assert min(outcome.keys) == "bet_id=b0 _source_key=raw/bets/part.csv _row=0"
    assert find(report, "raw_bets", "Few rows repeat the bet_id of another row").keys == ("bet_id=b50",)


def test_optional_sources_may_be_absent_required_ones_not(judge: Judge) -> None:
    report = judge("raw_bets", only_these=False)
    optional = {"raw_communications", "raw_limits", "raw_players", "raw_sessions"}
    assert set(report.absent) == optional | {*ABOUT_RAW}
    assert failed(report, "raw_bets") == set()
    assert [(issue.view, issue.title) for issue in report.critical_issues] == [
        ("raw_sources", "raw_sources exists"),
        ("raw_transactions", "raw_transactions exists"),
    ]


# Corruptions: each is a change to clean data, with all that must then fail, and nothing else


WHOLE = "Every required column is filled"
ONE_DAY = "Few rows have a key that one of the seven days before has too"
CONTRADICTIONS = {
    "bets": {
        "stake = 0, payout = 5, is_bonus = NULL": "No payout without a stake, except on bonus bets",
        "ingested_at = placed_at - INTERVAL 1 SECOND": "No bet was ingested before it was placed",
    },
    "sessions": {"ended_at = started_at + INTERVAL 25 HOUR": "No session is longer than a day"},
    "communications": {
        "opened_at = sent_at - INTERVAL 1 SECOND": "No message was opened before it was sent",
        "clicked_at = sent_at - INTERVAL 1 SECOND": "No link was followed before its message was sent",
    },
    "players": {
        "birth_date = DATE '2015-01-01'": "Players were of age when they registered",
        "birth_date = DATE '294247-12-31'": "Players were of age when they registered",
    },
}


def bad_values(source: SourceContract) -> Iterable[tuple[str, set[str]]]:
    """A change to a row, and what it trips."""
    view, columns = f"raw_{source.name}", source.columns
    absent = {
        f"{name} = NULL": {f"{name} is filled", WHOLE} for name, column in columns.items() if column.required
    }
    for key in dict.fromkeys((*source.business_key, "user_id")):
        if columns[key].type != "text":
            continue
        # Cleaning puts such rows into quarantine, so in a run they have a fault.
        keyless = {
            f"Few rows lack their {key} (they go to quarantine)",
            f"No row that is accepted lacks its {key}",
        }
        absent[f"{key} = NULL"] = {f"{key} is filled", *keyless, WHOLE}
        yield f"{key} = repeat(' ', 1 + _row::INTEGER)", keyless
    yield from absent.items()
    yield "_fault = 'unreadable'", {"Rows satisfy the contract"}
    yield "_discarded = ['rtp: aaa']", {"Few rows have a value that cannot be read and is left out"}
    if ONE_DAY in described(view):
        yield "_also_on = DATE '2026-11-19'", {ONE_DAY}
    for name, column in columns.items():
        if column.type == "enum":
            yield f"{name} = 'bingo'", {f"{name} is one of the contract's values"}
        if column.above is not None or column.minimum is not None:
            yield f"{name} = -1", {f"{name} is within the contract's range"}
    for first, second in source.not_before.items():
        yield f"{first} = {second} - INTERVAL 1 SECOND", {f"{first} is not before {second}"}
    for change, title in CONTRADICTIONS.get(source.name, {}).items():
        assert title in described(view, Check.BUSINESS_RULES)
        yield change, {title}


@pytest.mark.few(3)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_bad_values_trip_what_they_should_and_nothing_else(
    source: SourceContract, connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    """Six rows for each kind, one more than is tolerated: every expectation names exactly those rows."""
    view, tripped = f"raw_{source.name}", dict[str, set[str]]()
    keys = ", ".join(SUITES[view].meta.key)
    for number, (change, trips) in enumerate(bad_values(source)):
        rows = f"_row >= {6 * number} AND _row < {6 * number + 6}"
        connection.execute(f"UPDATE {source.name} SET {change} WHERE {rows}")
        found = connection.execute(f"SELECT {keys} FROM {source.name} WHERE {rows}")
        names = [name for name, *_ in found.description]
        named = {
            " ".join(
                f"{name}={'NULL' if value is None else value}" for name, value in zip(names, row, strict=True)
            )
            for row in found.fetchall()
        }
        for title in trips:
            tripped.setdefault(title, set()).update(named)
    outcomes = [outcome for outcome in judge(view).outcomes if outcome.view == view]
    failed_keys = {outcome.title: set(outcome.keys) for outcome in outcomes if not outcome.passed}
    assert failed_keys.keys() == tripped.keys()
    for title, shown in failed_keys.items():
        assert len(shown) == min(len(tripped[title]), 20)
        assert shown <= tripped[title], title
    assert {outcome.error for outcome in outcomes} == {None}


def shift_events(source: SourceContract, days: str, rows: str) -> list[str]:
    times = [name for name in (source.event_time, *source.not_before) if name]
    return [f"UPDATE {source.name} SET {name} = {name} {days} WHERE {rows}" for name in times]


def bad_tables(source: SourceContract) -> Iterable[tuple[str, list[str], set[str]]]:
    """Name, statements, and what they trip."""
    view, table = f"raw_{source.name}", source.name
    copies = described(view, Check.DUPLICATES) - {ONE_DAY}
    yield "copies", [f"INSERT INTO {table} FROM {table} WHERE _row < 3"], copies
    yield "too_few_rows", [f"DELETE FROM {table} WHERE _row > 8"], {"The day has enough rows"}
    if outliers := described(view, Check.OUTLIERS):
        money = {"bets": "stake", "transactions": "amount"}[source.name]
        yield "far_from_usual", [f"UPDATE {table} SET {money} = 100000 WHERE _row < 20"], outliers
    if source.event_time:
        fresh = described(view, Check.DATA_FRESHNESS)
        yield "stale", shift_events(source, "- INTERVAL 1 DAY", "true"), fresh
        yield "one_future_event", shift_events(source, "+ INTERVAL 1 DAY", "_row = 7"), fresh


BAD_TABLES = [
    pytest.param(
        f"raw_{source.name}",
        statements,
        trips,
        id=f"{source.name}-{name}",
        marks=[] if source.name in ("bets", "players") else [pytest.mark.full],
    )
    for source in SOURCES.values()
    for name, statements, trips in bad_tables(source)
]
BAD_TABLES += [
    pytest.param(
        "raw_files",
        ["INSERT INTO files VALUES ('bets', 'raw/bets/b.csv', 'the gzip is truncated')"],
        {"Every delivered object can be read in the format that its name says"},
        id="files-unreadable",
    ),
]


@pytest.mark.few(3)
@pytest.mark.parametrize(("view", "statements", "trips"), BAD_TABLES)
def test_a_bad_table_trips_what_it_should_and_nothing_else(
    view: str, statements: list[str], trips: set[str], connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    for statement in statements:
        connection.execute(statement)
    report = judge(view)
    assert failed(report, view) == trips
    assert {outcome.error for outcome in report.outcomes if outcome.view == view} == {None}


def test_a_compound_key_has_copies_only_where_all_its_columns_agree(
    connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    (title,) = described("raw_limits", Check.DUPLICATES)
    connection.execute("UPDATE limits SET user_id = 'u0'")
    connection.execute("UPDATE limits SET changed_at = NULL WHERE _row < 5")
    assert failed(judge("raw_limits"), "raw_limits") == set()

    connection.execute(
        "UPDATE limits SET changed_at = TIMESTAMP '2026-11-21 12:00:00' WHERE _row BETWEEN 10 AND 12"
    )
    connection.execute(
        "UPDATE limits SET changed_at = TIMESTAMP '2026-11-21 11:00:00' WHERE _row BETWEEN 20 AND 21"
    )
    report = judge("raw_limits")
    assert failed(report, "raw_limits") == {title}
    assert find(report, "raw_limits", title).keys == (
        "user_id=u0 kind=deposit changed_at=2026-11-21 11:00:00",
        "user_id=u0 kind=deposit changed_at=2026-11-21 12:00:00",
    )
    assert find(report, "raw_limits", title).unexpected_share == pytest.approx(0.03)


PROSPECTS = "Only prospects have no RFM scores"
SEGMENT = "rfm_segment follows from the RFM scores"
WEEKDAYS = "dias_semana_preferidos lists one to three weekdays, ascending"
TOGETHER = "Features of the bets of 90 days are all filled or all missing"
SESSIONS = "Session minutes need sessions, and their mean is at most the longest"
TOLD = "Players without transactions have no features of transactions"
FINITE = "{} is finite, neither NaN nor infinity"
COLUMNS = "The columns are those of the contract, in its order"
OVERDRAWN = "New players without bonus bets withdraw no more than they deposited and won"
PROSPECT, PLAYER = range(300), range(300, 600)
"""Rows of users without and with transactions and scores."""
CONTRADICTORY = {
    "share_crash = 0.5": "Shares by game type sum to 1 or are all missing",
    "favorite_game_share = 0": "The favourite game type was played and has a share",
    "bets_count_lifetime = 0": "Players who never bet have neither shares by game type nor a favourite",
    "active_days_7d = 1": "A longer window has at least the active days of a shorter one",
    "bets_count_30d = 2": "There are at least as many bets in a lifetime as in 30 days",
    "ggr_30d = -5": "Players without bets in 30 days staked, won and lost nothing",
    "bet_avg_30d = 5": "Mean, sum and number of the stakes of 30 days agree",
    "bets_count_30d = 1, ggr_30d = 5": "The operator keeps no more than was staked",
    "tenure_days = 89, bonus_bet_share_90d = 0, net_deposit_lifetime = -5": OVERDRAWN,
    "tenure_days = 89, bonus_bet_share_90d = NULL, net_deposit_lifetime = -5": OVERDRAWN,
    "net_deposit_30d = 1": "Net deposits are deposits minus withdrawals",
    "deposit_count_30d = 1": "Sums and counts of deposits and withdrawals agree on whether there were any",
    "marketing_allowed = true, rg_self_exclusion_status = 'active'": "No message may go to self-excluded players",
    "marketing_allowed = true, rg_prohibited_flag = true": "No message may go to players whom the law bars",
    "marketing_allowed = true, rg_risk_score = 0.9, rg_risk_band = 'high'": "No message may go to players at high risk",
    "marketing_allowed = true, protection_unreadable = ['is_test']": (
        "No message may go to players whose protection cannot be read"
    ),
    "marketing_allowed = true, canais_permitidos = NULL": "Players who may be written to have allowed a channel",
    "canal_comunicacao_preferido = 'sms'": "The preferred channel is one that the player allowed",
    "rfm_code = '111'": "rfm_code is made of the three scores",
    "ticket_medio = NULL": "ticket_medio and ticket_medio_categoria are both filled or both missing",
    "rg_risk_score = 0.5": "rg_risk_score and rg_risk_band are both filled or both missing",
    "days_since_last_activity = 5, days_since_last_deposit = 2": (
        "The last activity is no older than the last deposit"
    ),
}
"""Changes to a player that break one rule each."""
HONEST = (
    "tenure_days = 90, net_deposit_lifetime = -5",
    "tenure_days = 89, bonus_bet_share_90d = 0.1, net_deposit_lifetime = -5",
    "tenure_days = 89, net_deposit_lifetime = -5, ggr_lifetime = -5",
)
"""Changes to a player that break none."""


def feature_corruptions() -> Iterable[tuple[range, str, set[str]]]:
    """The kind of row, the change to it, and what it trips."""
    for missing in ("NULL", "' '"):
        yield PROSPECT, f"user_id = {missing}", {"user_id is neither missing nor blank"}
    yield PROSPECT, "user_id = 'u299'", {"user_id is unique"}
    yield PROSPECT, "as_of = as_of + INTERVAL 1 DAY", {"as_of is the run's"}
    yield PROSPECT, "known_at = as_of", {"known_at is the run's"}
    also = {"rfm_segment": {PROSPECTS, SEGMENT}}
    for column in (name for name, of in TABLE.computed.items() if not of.nullable):
        title = f"{column} is filled"
        if title not in described("user_features"):
            continue
        yield PROSPECT, f"{column} = NULL", {title} | also.get(column, set())
    scores = {name: {SEGMENT} for name in ("recency_score", "frequency_score", "monetary_score")}
    also = {**scores, **{name: {SESSIONS} for name in ("sessions_30d", "session_minutes_max_30d")}}
    for column, of in TABLE.computed.items():
        if of.minimum is not None:
            trips = {f"{column} is within the contract's range"} | also.get(column, set())
            beyond = [of.minimum - 1, *(limit + 1 for limit in [of.maximum] if limit)]
            told = {TOLD} if column == "total_transactions" else set()
            yield from ((PLAYER, f"{column} = {value}", trips | told) for value in beyond)
    also = {"rfm_segment": {SEGMENT}}
    for column in (name for name, of in TABLE.computed.items() if of.values):
        title = f"{column} is one of the contract's values"
        yield PLAYER, f"{column} = 'bingo'", {title} | also.get(column, set())
    for column in (name for name, of in TABLE.computed.items() if of.type in ("real", "r01")):
        bounded = {f"{column} is within the contract's range"} if TABLE.columns[column].maximum else set()
        minutes = {SESSIONS} if column == "session_minutes_avg_30d" else set()
        yield PLAYER, f"{column} = 'nan'", {FINITE.format(column)} | bounded | minutes
    yield from ((PLAYER, change, {title}) for change, title in CONTRADICTORY.items())
    yield from ((PLAYER, change, set[str]()) for change in HONEST)
    yield PROSPECT, "recency_score = 1", {PROSPECTS}
    yield PLAYER, "rfm_segment = 'lost'", {SEGMENT}
    for weekdays in ("4,0", "4,4", "7", "", "0,1,2,3"):
        yield PROSPECT, f"dias_semana_preferidos = '{weekdays}'", {WEEKDAYS}
    for column in (
        "weekend_activity_ratio",
        "horarios_atividade",
        "dias_semana_preferidos",
        "game_diversity_score",
    ):
        yield PROSPECT, f"{column} = NULL", {TOGETHER}
    yield PROSPECT, "sessions_30d = 0", {SESSIONS}
    yield PROSPECT, "session_minutes_avg_30d = 31", {SESSIONS}
    yield PROSPECT, "frequencia_jogo = 0.1", {TOLD}
    yield PROSPECT, "balance_ratio = 2", {TOLD}
    yield PROSPECT, "ticket_medio = 10, ticket_medio_categoria = 'baixo'", {TOLD}


def rules_on(column: str) -> set[str]:
    """Rules that a value out of its range may break as well."""
    return {
        each.description
        for each in FEATURES.expectations
        if each.check is Check.BUSINESS_RULES
        and re.search(rf"\b{column}\b", each.kwargs["condition"] + each.kwargs.get("among", ""))
    }


def test_each_corrupt_user_trips_what_it_should_and_nothing_else(
    connection: duckdb.DuckDBPyConnection, judge: Judge, thresholds: dict[str, Threshold]
) -> None:
    """One corruption a user, all in one run: every expectation names exactly the users that break it."""
    thresholds["max_overdrawn_share"] = 0
    free = {kind: iter(kind) for kind in (PROSPECT, PLAYER)}
    tripped: dict[str, set[str]] = {}
    tolerated: dict[str, set[str]] = {}
    for kind, change, trips in feature_corruptions():
        row = next(free[kind])
        connection.execute(f"UPDATE features SET {change} WHERE row = {row}")
        name = f"SELECT 'user_id=' || coalesce(user_id, 'NULL') FROM features WHERE row = {row}"
        ((key,),) = connection.execute(name).fetchall()
        for title in trips:
            tripped.setdefault(title, set()).add(key)
        if not trips <= described("user_features", Check.BUSINESS_RULES) and trips:
            for title in rules_on(change.split(" = ")[0]) - trips:
                tolerated.setdefault(title, set()).add(key)
    report = judge("user_features")
    found = {outcome.title: set(outcome.keys) for outcome in report.outcomes if not outcome.passed}
    assert found.keys() == tripped.keys(), "is a change missing in CONTRADICTORY?"
    for title, keys in found.items():
        assert keys <= tripped[title] | tolerated.get(title, set()), title
        assert keys >= tripped[title] or len(keys) == 20, title
    assert {outcome.error for outcome in report.outcomes} == {None}


TABLE_CORRUPTIONS = {
    "user_lost": ("DELETE FROM features WHERE row = 1", {"Every player has one row"}),
    "columns_in_another_order": (
        "CREATE OR REPLACE TEMP VIEW user_features AS SELECT * EXCLUDE (row, as_of), as_of FROM features",
        {COLUMNS},
    ),
    "ids_in_another_case": (
        "UPDATE features SET user_id = 'U' || (row - 300) WHERE row >= 580",
        {"Few players have ids that differ only in case, blanks or looks"},
    ),
    "a_column_too_many": ("CREATE OR REPLACE TEMPORARY VIEW user_features AS FROM features", {COLUMNS}),
}


@pytest.mark.few(2)
@pytest.mark.parametrize(("statement", "trips"), TABLE_CORRUPTIONS.values(), ids=TABLE_CORRUPTIONS)
def test_a_corrupt_feature_table_trips_what_it_should_and_nothing_else(
    statement: str, trips: set[str], connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    connection.execute(statement)
    assert failed(judge("user_features"), "user_features") == trips


OTHER_TYPE = {
    "VARCHAR": "BLOB",
    "VARCHAR[]": "VARCHAR",
    "DECIMAL(18,4)": "DECIMAL(18,2)",
    "DECIMAL(12,2)": "DOUBLE",
    "DECIMAL(14,2)": "DOUBLE",
    "DOUBLE": "FLOAT",
    "INTEGER": "BIGINT",
    "SMALLINT": "INTEGER",
    "BOOLEAN": "INTEGER",
    "DATE": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}


@pytest.mark.full
@pytest.mark.parametrize("view", now("user_features", "raw_bets", full=sorted(SUITES.keys() - {"raw_files"})))
def test_a_changed_type_trips_its_own_expectation(
    view: str, connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    """Every column changes its type. Rules on it may fail, too; the rows can be counted still."""
    types = [each for each in SUITES[view].expectations if each.type == "expect_column_type_to_be"]
    casts = ", ".join(
        f"{each.kwargs['column']}::{OTHER_TYPE[each.kwargs['type_']]} AS {each.kwargs['column']}"
        for each in types
    )
    connection.execute(f"CREATE TABLE clean AS FROM {view}")
    connection.execute(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS SELECT * REPLACE ({casts}) FROM clean")
    report = judge(view)
    for each in types:
        outcome = find(report, view, each.description)
        assert (outcome.passed, outcome.observed) == (False, OTHER_TYPE[each.kwargs["type_"]])
    counts = [
        outcome for outcome in report.outcomes if outcome.expectation.startswith("expect_table_row_count")
    ]
    assert all(outcome.passed for outcome in counts if outcome.view == view)


@pytest.mark.parametrize("view", SUITES)
def test_every_entry_is_tripped_by_a_corruption(view: str) -> None:
    tripped = described(view, type_="expect_column_type_to_be")
    cases: Any = [each.values for each in BAD_TABLES]
    for corrupted, _, trips in cases:
        tripped |= trips if corrupted == view else set()
    if view == "raw_files":
        # By the test of empty tables.
        tripped |= {"Something was delivered"}
    elif view in RAW_SUITES:
        tripped = tripped.union(*(trips for _, trips in bad_values(SOURCES[view.removeprefix("raw_")])))
    else:
        tripped = tripped.union({"There are players"}, *(trips for _, trips in TABLE_CORRUPTIONS.values()))
        tripped = tripped.union(*(trips for _, _, trips in feature_corruptions()))
    assert tripped == described(view), "add a change that breaks it to CONTRADICTORY or CONTRADICTIONS"


# Nothing is green by absence


@pytest.mark.few(3)
@pytest.mark.parametrize("view", SUITES)
def test_an_empty_table_fails_whatever_is_about_rows(
    view: str, connection: duckdb.DuckDBPyConnection, judge: Judge, thresholds: dict[str, Threshold]
) -> None:
    thresholds |= {"min_rows_per_day": 0, "expected_users": 0}
    connection.execute(f"CREATE TABLE clean AS FROM {view}")
    connection.execute(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS FROM clean LIMIT 0")
    about_rows = described(view) - described(view, type_="expect_column_type_to_be") - {COLUMNS}
    counted = {"The day has enough rows", "Every player has one row"}
    report = judge(view)
    assert failed(report, view) == about_rows - counted
    assert report.score < 0.6


@pytest.mark.full
def test_a_missing_column_fails_what_is_about_it(connection: duckdb.DuckDBPyConnection, judge: Judge) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW user_features AS SELECT * EXCLUDE (row, churn_risk_score) FROM features"
    )
    report = judge("user_features")
    about = {
        "churn_risk_score has the contract's type",
        "churn_risk_score is within the contract's range",
        FINITE.format("churn_risk_score"),
    }
    assert failed(report, "user_features") == {COLUMNS, *about}
    assert {outcome.title for outcome in report.outcomes if outcome.error} == about


def test_an_expectation_that_errs_fails_and_leaves_the_others_alone(
    judge: Judge, rewrite: Callable[..., Path]
) -> None:
    folder = rewrite(
        entry("expect_rows_to_satisfy", condition="no_such_column = 1", tolerance=1),
        entry("expect_column_values_to_be_between", column="rfm_segment", min_value=1),
    )
    report = judge("user_features", folder=folder)
    erring = [outcome for outcome in report.outcomes if outcome.title == "an entry of the test"]
    assert [outcome.passed for outcome in erring] == [False, False]
    assert "no_such_column" in str(erring[0].error)
    assert erring[1].error is not None
    assert failed(report, "user_features") == {"an entry of the test"}


def test_a_rule_that_holds_for_unknown_reasons_does_not_hold(
    judge: Judge, rewrite: Callable[..., Path]
) -> None:
    folder = rewrite(entry("expect_rows_to_satisfy", condition="balance_ratio > 0", tolerance=0.4))
    outcome = find(judge("user_features", folder=folder), "user_features", "an entry of the test")
    assert (outcome.passed, outcome.unexpected_share) == (False, 0.5)


def test_a_share_equal_to_the_tolerance_passes(judge: Judge, rewrite: Callable[..., Path]) -> None:
    folder = rewrite(entry("expect_rows_to_satisfy", condition="balance_ratio > 0", tolerance=0.5))
    assert find(judge("user_features", folder=folder), "user_features", "an entry of the test").passed


def test_a_tolerance_is_a_share_of_the_rows_that_the_rule_is_about(
    judge: Judge, rewrite: Callable[..., Path]
) -> None:
    """Of six hundred users ten are looked at, of whom five break the rule."""
    rule: dict[str, Any] = {
        "condition": "user_id <= 'u14'",
        "among": "user_id BETWEEN 'u10' AND 'u19' AND len(user_id) = 3",
    }
    strict = entry("expect_rows_to_satisfy", **rule, tolerance=0.49)
    none = entry("expect_rows_to_satisfy", condition="false", among="user_id = 'nobody'", tolerance=0)
    report = judge(
        "user_features", folder=rewrite(strict, {**none, "description": "a rule about nobody holds"})
    )
    outcome = find(report, "user_features", "an entry of the test")
    assert (outcome.passed, outcome.unexpected_share) == (False, 0.5)
    assert outcome.keys == tuple(f"user_id=u{number}" for number in range(15, 20))
    assert find(report, "user_features", "a rule about nobody holds").passed


def test_a_share_of_rows_that_few_players_have_is_chance(
    connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    """Fifteen bets of a hundred are far from usual: of one player they are his, of fifteen they are not."""
    title = "stake is near its usual size, on a log scale"
    connection.execute("UPDATE bets SET stake = 100000 WHERE _row < 15")
    assert not find(judge("raw_bets"), "raw_bets", title).passed

    connection.execute("UPDATE bets SET user_id = 'whale' WHERE _row < 15")
    outcome = find(judge("raw_bets"), "raw_bets", title)
    assert outcome.passed
    assert outcome.unexpected_share == pytest.approx(15 / 101, abs=0.01)
    # The report shows the limit that was applied, and why.
    assert outcome.limit is not None
    assert 15 / 101 < outcome.limit < 1
    assert outcome.threshold == (
        f"{outcome.limit:.2%}: 5% and a margin for chance, since {UNITS_BESIDE_A_WHALE} players count"
    )

    strict = find(judge("raw_bets", is_strict=True), "raw_bets", title)
    assert (strict.passed, strict.threshold, strict.limit) == (False, "5%", 0.05)


def test_strict_limits_hold_for_every_delivered_row(
    connection: duckdb.DuckDBPyConnection, judge: Judge, thresholds: dict[str, Threshold]
) -> None:
    title = "Few rows lack their user_id (they go to quarantine)"
    connection.execute("UPDATE bets SET user_id = NULL, _fault = 'user_id: missing' WHERE _row = 4")
    assert find(judge("raw_bets"), "raw_bets", title).passed

    strict = Settings.of(lake_bucket="none", quality_strict=True)
    thresholds |= thresholds_of_settings(strict, TABLE)
    outcome = find(judge("raw_bets", is_strict=True), "raw_bets", title)

    assert (outcome.passed, outcome.threshold, outcome.limit) == (False, "none", 0.0)
    assert find(judge("raw_bets"), "raw_bets", "No row that is accepted lacks its user_id").passed


def test_what_has_nothing_to_judge_is_not_called_met(
    connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    report = judge("raw_bets", unjudged={"raw_drift": "no baseline yet: nothing compared"})

    [check_] = [one for one in report.checks if one.check is Check.STATISTICAL_DISTRIBUTION]
    assert (check_.passed, check_.summary) == (True, "no baseline yet: nothing compared")
    assert "raw_drift" not in report.absent
    page = report.to_html()
    assert "<small>no baseline yet: nothing compared</small>" in page
    assert report.score == 1
    assert "0 of 0" not in page


def test_players_are_of_age_by_the_setting(
    connection: duckdb.DuckDBPyConnection, judge: Judge, thresholds: dict[str, Threshold]
) -> None:
    """Everybody was born in 1990, and registers at 17, 18 and 19 years."""
    title = "Players were of age when they registered"
    connection.execute(
        "UPDATE players SET registered_at = birth_date + to_years(17 + _row::INTEGER % 3) + INTERVAL 1 DAY"
    )
    for age, too_young in ((17, 0.0), (18, 1 / 3), (19, 2 / 3), (21, 1.0)):
        thresholds["adult_age"] = age
        outcome = find(judge("raw_players"), "raw_players", title)
        assert outcome.error is None
        assert outcome.unexpected_share == pytest.approx(too_young, abs=0.01)


def test_data_docs_say_how_many_rows_break_a_rule(
    judge: Judge, rewrite: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    judge(
        "user_features",
        folder=rewrite(entry("expect_rows_to_satisfy", condition="user_id > 'u3'", tolerance=0)),
        docs=docs,
    )
    pages = "".join(page.read_text() for page in docs.glob("validations/**/*.html"))
    assert re.search(r"[\d.,]+%\s+of\s+600\s+total\s+rows", pages)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_an_expectation_that_got_lost_fails(
    judge: Judge, rewrite: Callable[..., Path], monkeypatch: Any
) -> None:
    """Great Expectations drops what it takes for the same: here it answers one expectation too few."""
    from great_expectations import ExpectationSuite

    original = ExpectationSuite.__init__

    def forgetful(self: Any, expectations: Any = (), **kwargs: Any) -> None:
        original(self, expectations=list(expectations)[:-1], **kwargs)

    monkeypatch.setattr(ExpectationSuite, "__init__", forgetful)
    outcome = find(
        judge("user_features", folder=rewrite(entry("expect_column_to_exist", column="user_id"))),
        "user_features",
        "an entry of the test",
    )
    assert not outcome.passed
    assert "lost this expectation" in str(outcome.error)


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (entry("expect_column_values_to_be_nice", column="user_id"), "expect_column_values_to_be_nice"),
        (entry("expect_column_values_to_not_be_null", column="user_id", mostyl=0.5), "mostyl"),
        (entry("expect_column_values_to_not_be_null"), "column"),
        (entry("expect_rows_to_satisfy", condition="true"), "tolerance"),
    ],
)
def test_an_entry_that_great_expectations_does_not_take_is_refused(
    spoilt: dict[str, Any], told: str, judge: Judge, rewrite: Callable[..., Path]
) -> None:
    with pytest.raises(BadSuite, match="expectation 12 of user_features") as raised:
        judge("user_features", folder=rewrite(spoilt))
    assert told in str(raised.value)


def test_a_missing_threshold_is_refused(judge: Judge, thresholds: dict[str, Threshold]) -> None:
    del thresholds["expected_users"]
    with pytest.raises(BadSuite, match=r"no threshold is known for expected_users \(user_features\)"):
        judge("user_features")


def test_a_view_without_a_suite_is_refused(judge: Judge) -> None:
    with pytest.raises(BadSuite, match="there is no suite for raw_logins"):
        judge("raw_bets", "raw_logins")


# What a report tells


def test_a_report_names_rows_by_their_keys_and_tells_nothing_else_of_them(
    connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    connection.execute("UPDATE bets SET stake = -77.77, user_id = NULL WHERE _row < 30")
    report = judge("raw_bets", "raw_transactions")
    outcome = find(report, "raw_bets", "user_id is filled")
    assert len(outcome.keys) == 20
    assert all(key.startswith("bet_id=b") for key in outcome.keys)
    assert "77.77" not in report.to_json()
    assert "77.77" not in report.to_html()


def test_an_error_quotes_no_value(
    connection: duckdb.DuckDBPyConnection, judge: Judge, rewrite: Callable[..., Path]
) -> None:
    connection.execute("UPDATE features SET execution_id = 'Maria Silva'")
    folder = rewrite(entry("expect_rows_to_satisfy", condition="execution_id::INTEGER > 0", tolerance=0))
    report = judge("user_features", folder=folder)
    assert "Could not convert" in str(find(report, "user_features", "an entry of the test").error)
    assert "Maria" not in report.to_json()


def test_what_is_no_number_in_json_is_a_word(
    connection: duckdb.DuckDBPyConnection, judge: Judge, rewrite: Callable[..., Path]
) -> None:
    connection.execute("UPDATE features SET bet_volatility = 'inf' WHERE row = 1")
    report = judge(
        "user_features", folder=rewrite(entry("expect_column_max_to_be_between", column="bet_volatility"))
    )
    json.loads(report.to_json(), parse_constant=pytest.fail)
    assert find(report, "user_features", "an entry of the test").observed == "inf"


def test_a_finding_and_what_is_allowed_are_in_words(
    connection: duckdb.DuckDBPyConnection, judge: Judge
) -> None:
    connection.execute("UPDATE bets SET placed_at = placed_at - INTERVAL 2 DAY")
    report = judge("raw_bets", "raw_transactions")
    outcome = find(report, "raw_bets", "The newest placed_at is recent and before as_of")
    assert outcome.observed == "2026-11-19T04:39:00"
    assert outcome.finding == "the newest placed_at is 2026-11-19 04:39 UTC"
    assert outcome.threshold == "from 2026-11-21 03:00 UTC and before 2026-11-22 03:00 UTC"
    passing = find(report, "raw_bets", "user_id is filled")
    assert (passing.threshold, passing.finding) == ("5%", None)


def sentences(report: Report, view: str) -> dict[str, str]:
    """What a report says about a view, by title."""
    return {
        outcome.title: f"{outcome.finding} (allowed: {outcome.threshold})"
        for outcome in report.outcomes
        if outcome.view == view
    }


def test_breaches_are_plain_sentences(connection: duckdb.DuckDBPyConnection, judge: Judge) -> None:
    for statement in (
        "UPDATE bets SET user_id = NULL WHERE _row < 20",
        "INSERT INTO bets FROM bets WHERE _row >= 80",
        "ALTER TABLE bets ALTER payout TYPE DOUBLE",
        "UPDATE bets SET rtp = 7 WHERE _row BETWEEN 30 AND 59",
        "UPDATE features SET as_of = as_of - INTERVAL 1 DAY WHERE row < 6",
        "DELETE FROM features WHERE row = 599",
        "ALTER TABLE features ADD surplus INTEGER",
    ):
        connection.execute(statement)
    connection.execute(
        "CREATE OR REPLACE TEMPORARY VIEW user_features AS SELECT * EXCLUDE (row) FROM features"
    )
    connection.execute("CREATE OR REPLACE TEMPORARY VIEW raw_bets AS FROM bets")
    report = judge("raw_bets", "raw_transactions")
    said = sentences(report, "raw_bets")
    assert said["user_id is filled"] == "16.67% of rows have no user_id (allowed: 5%)"
    assert said["Few rows repeat the bet_id of another row"] == (
        "16.67% of rows repeat the bet_id of another row (allowed: 2%)"
    )
    assert said["payout has the contract's type"] == "payout is of type DOUBLE (allowed: DECIMAL(18,4))"
    assert said["rtp is within the contract's range"] == (
        "25.00% of rows have a value of rtp outside the contract's range (allowed: 5%)"
    )
    report = judge("user_features")
    said = sentences(report, "user_features")
    assert said["Every player has one row"] == "there are 599 players (allowed: exactly 600)"
    assert said["as_of is the run's"] == (
        "1.00% of players have another as_of than the run (allowed: exactly 2026-11-22 03:00 UTC)"
    )
    assert said["The columns are those of the contract, in its order"].startswith(
        f"position {len(TABLE.computed)} has surplus instead of nothing (allowed: {len(TABLE.computed)} columns:"
    )


# A good guest


def test_the_callers_connection_is_as_it_was(
    connection: duckdb.DuckDBPyConnection, judge: Judge, rewrite: Callable[..., Path]
) -> None:
    judge(
        "user_features", folder=rewrite(entry("expect_rows_to_satisfy", condition="nonsense(1)", tolerance=0))
    )
    assert connection.execute("SELECT count(*) FROM user_features").fetchall() == [(600,)]
    connection.begin()
    connection.rollback()
    assert judge("raw_bets", "raw_transactions").score == 1


def test_nothing_is_written_where_it_runs(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewrite: Callable[..., Path]
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    judge("user_features", folder=rewrite())
    assert list(home.rglob("*")) + list(work.rglob("*")) == []


def test_a_report_speaks_portuguese(connection: duckdb.DuckDBPyConnection, judge: Judge) -> None:
    connection.execute("UPDATE bets SET user_id = NULL WHERE _row < 20")
    connection.execute("UPDATE bets SET rtp = 7 WHERE _row BETWEEN 30 AND 59")
    connection.execute("CREATE OR REPLACE TEMPORARY VIEW raw_bets AS FROM bets")
    said = sentences(judge("raw_bets", say=texts_in("pt-BR")), "raw_bets")

    assert said["user_id está preenchida"] == "20,00% das linhas sem user_id (allowed: 5%)"
    assert said["rtp está dentro da faixa do contrato"] == (
        "30,00% das linhas com rtp fora da faixa do contrato (allowed: 5%)"
    )
    assert not [title for title in said if " is " in title or " rows " in title]
