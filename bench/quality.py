"""Judging raw rows and features, compared with bare SQL for the same figures and with Great Expectations on pandas."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from bench.apart import Apart, Stopwatch, report, run_apart
from bench.figures import Figure
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.table import TableContract
from crmbet.databases.statements import Fragment
from crmbet.quality.gate import check
from crmbet.quality.known import load_known
from crmbet.quality.measures.feature_tables import correlate, create_feature_tables, feature_kinds
from crmbet.quality.measures.profile import Kind
from crmbet.quality.measures.raw_tables import create_raw_drift, drifting_kinds, measure_source
from crmbet.quality.report import Subject
from crmbet.quality.suites import Suite, load_suites
from crmbet.quality.thresholds import thresholds_of
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight

LIMIT_RATIO = 2.0
LIMIT_MIB = 1536
AS_OF = date(2026, 11, 22)

BETS = """
COPY (
    SELECT
        'b' || i AS bet_id, 'u' || hash(i) % 200000 AS user_id,
        TIMESTAMP '2026-11-21 03:00:00' + to_milliseconds((i * 86000000 // {rows})::BIGINT) AS placed_at,
        ['crash', 'cassino', 'esportes', 'poker', 'slots'][1 + (hash(i, 1) % 5)::INTEGER] AS game_type,
        exp(1 + hash(i, 2) % 1000 / 250.0)::DECIMAL(18, 4) AS stake,
        if(hash(i, 3) % 3 = 0, exp(2 + hash(i, 4) % 1000 / 250.0), 0)::DECIMAL(18, 4) AS payout,
        's' || i // 9 AS session_id, 'g' || hash(i, 5) % 300 AS game_id, 'mobile' AS device_type,
        0.9 + hash(i, 6) % 80 / 1000.0::DOUBLE AS rtp, hash(i, 7) % 10 = 0 AS is_bonus,
        (hash(i, 8) % 100000000 / 10000.0)::DECIMAL(18, 4) AS balance_after, NULL::TIMESTAMP AS ingested_at,
        NULL::VARCHAR AS _fault, 'raw/bets/part.csv' AS _source_key, i AS _row, DATE '2026-11-21' AS _day,
        NULL::DATE AS _also_on
    FROM range({rows}) _(i)
) TO '{path}' (FORMAT parquet)
"""


NUMBERS = """
SELECT
    count(*), count(value), count(*) FILTER (NOT isfinite(value)), min(number), max(number),
    quantile_cont(number, [0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9]),
    var_pop(logged), skewness(logged), median(magnitude), mad(magnitude)
FROM (
    SELECT
        value, CASE WHEN isfinite(value) THEN value END AS number,
        sign(number) * ln(1 + abs(number)) AS logged, ln(abs(nullif(number, 0))) AS magnitude
    FROM (SELECT {column}::DOUBLE AS value FROM {source})
)
"""
BINS = """
SELECT
    {below},
    count(*) FILTER (abs(ln(abs(nullif(number, 0))) - {usual}) > 3.5 * greatest(ln(2), 1.4826 * {deviation}))
FROM (
    SELECT CASE WHEN isfinite(value) THEN value END AS number FROM (SELECT {column}::DOUBLE AS value FROM {source})
)
"""
WORDS = "SELECT {column}::VARCHAR AS word, count(*) FROM {source} GROUP BY word ORDER BY 2 DESC"


def measure(folder: Path, raw_rows: int, feature_rows: int, pandas_rows: int) -> list[Figure]:
    """Judge by the gate and by bare SQL, each in its own process, and fewer rows by Great Expectations on pandas."""
    bets, features = folder / "bets.parquet", folder / "features.parquet"
    with duckdb.connect() as connection:
        connection.execute(BETS.format(rows=raw_rows, path=bets))
        connection.execute(_features_sql(load_table_contract(), feature_rows, features))
    taken: dict[str, Apart] = {
        how: run_apart("bench.quality", how, str(bets), str(features)) for how in ("bare", "gate")
    }
    few = folder / "few.parquet"
    with duckdb.connect() as connection:
        connection.execute(BETS.format(rows=pandas_rows, path=few))
    peer = run_apart("bench.quality", "pandas", str(few), str(features))
    ours = run_apart("bench.quality", "raw", str(few), str(features))
    bare, gate = (taken[how].stopwatch.total for how in ("bare", "gate"))
    note = f"{raw_rows:,} bets and {feature_rows:,} players"
    return [
        Figure(
            name="bare SQL of the figures", value=bare, unit="s", note=f"{note}; {taken['bare'].stopwatch}"
        ),
        Figure(name="quality gates", value=gate, unit="s", note=f"{note}; {taken['gate'].stopwatch}"),
        Figure(name="gates over bare SQL", value=gate / bare, unit="x", limit=LIMIT_RATIO),
        Figure(name="peak memory of bare SQL", value=taken["bare"].peak_mib, unit="MiB"),
        Figure(name="peak memory of the gates", value=taken["gate"].peak_mib, unit="MiB", limit=LIMIT_MIB),
        Figure(
            name="Great Expectations on pandas over the raw gate",
            value=peer.stopwatch.total / ours.stopwatch.total,
            unit="x",
            note=f"{pandas_rows:,} bets, the suite's built-in expectations; {peer.peak_mib:.0f} MiB, not "
            f"{ours.peak_mib:.0f}",
        ),
    ]


def _features_sql(table: TableContract, rows: int, path: Path) -> str:
    """A table of the contract's columns with values in their ranges."""
    made = []
    for place, (name, column) in enumerate(table.columns.items()):
        luck = f"(hash(i, {place}) % 1000003 / 1000003.0)"
        if name == "updated_at":
            continue
        if name == "user_id":
            value = "'u' || i"
        elif column.values:
            value = f"{column.values!r}[1 + (hash(i, {place}) % {len(column.values)})::INTEGER]"
        elif column.type in ("integer", "smallint"):
            low, high = int(column.minimum or 0), int(column.maximum or 1000)
            value = f"({low} + {luck} * {high - low})::{column.type}"
        elif column.type in ("real", "r01", "money"):
            value = f"({luck} * {column.maximum or 100})::{'DECIMAL(14, 2)' if column.type == 'money' else 'DOUBLE'}"
        elif column.type == "boolean":
            value = f"{luck} < 0.5"
        elif column.type == "timestamptz":
            value = "TIMESTAMPTZ '2026-11-22 03:00:00+00'"
        elif column.type == "text[]":
            value = "['email']"
        else:
            value = f"'{name[0]}' || hash(i, {place}) % 20"
        made.append(f"{value} AS {name}")
    return f"COPY (SELECT {', '.join(made)} FROM range({rows}) _(i)) TO '{path}' (FORMAT parquet)"


def _run() -> Run:
    settings = Settings(lake_bucket="bench")
    as_of = midnight(AS_OF, settings.zone)
    return Run(
        run_id="bench",
        window=Window(as_of_date=AS_OF, as_of=as_of),
        known_at=datetime(2026, 11, 22, 3, tzinfo=UTC),
        params=RunParams(),
        settings=settings,
    )


def _aggregates(suite: Suite) -> list[str]:
    """What the suite's expectations count, as SQL."""
    aggregates = ["count(*)"]
    for entry in suite.expectations:
        kwargs = entry.kwargs
        if "condition" in kwargs:
            among = kwargs.get("among", "true")
            aggregates.append(
                f"count(*) FILTER (WHERE {among} AND NOT coalesce(({kwargs['condition']}), false))"
            )
        elif entry.type == "expect_column_copies_to_be_within":
            aggregates.append(f"count(DISTINCT hash({kwargs['column']}))")
        elif entry.type == "expect_column_values_to_not_be_null":
            aggregates.append(f"count({kwargs['column']})")
        elif "column" in kwargs and not entry.type.startswith("expect_column_type"):
            aggregates.append(f"min({kwargs['column']}), max({kwargs['column']})")
    return aggregates


def _describe(connection: duckdb.DuckDBPyConnection, source: str, kinds: Mapping[str, Kind]) -> None:
    """Compute distributions in plain SQL: two statements per column of numbers, one per column of words."""
    for column, kind in kinds.items():
        if kind == "words":
            connection.execute(WORDS.format(column=column, source=source)).fetchmany(31)
            continue
        *_, quantiles, _, _, usual, deviation = connection.execute(
            NUMBERS.format(column=column, source=source)
        ).fetchall()[0]
        below = ", ".join(f"count(*) FILTER (number <= {edge!r})" for edge in quantiles)
        statement = BINS.format(
            column=column, source=source, below=below, usual=usual or 0, deviation=deviation or 0
        )
        connection.execute(statement).fetchall()


def _judge(how: str, bets: str, features: str) -> None:
    """Judge in one way, in this process."""
    run, table, stopwatch = _run(), load_table_contract(), Stopwatch()
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TEMP VIEW raw_bets AS FROM '{bets}'")
        connection.execute(f"CREATE TEMP VIEW user_features AS FROM '{features}'")
        ((users,),) = connection.execute("SELECT count(*) FROM user_features").fetchall()
        import great_expectations  # noqa: F401 - it takes seconds for any amount of data

        bet = load_source_contracts()["bets"]
        with stopwatch.step("bets' distributions"):
            if how == "bare":
                _describe(connection, "raw_bets", drifting_kinds(bet))
                connection.execute("SELECT count(DISTINCT hash(user_id, _day)) FROM raw_bets").fetchall()
            else:
                measured = measure_source(connection, bet, Fragment("raw_bets"))
                create_raw_drift(connection, {"bets": measured}, {"bets": measured.profile})
        with stopwatch.step("features' distributions and pairs"):
            if how == "bare":
                kinds = feature_kinds(table)
                _describe(connection, "user_features", kinds)
                # The gate's own code computes the pairs, since SQL takes several times as long.
                numbers = [name for name, kind in kinds.items() if kind == "numbers"]
                correlate(connection, Fragment("user_features"), numbers)
            elif how == "gate":
                create_feature_tables(
                    connection, Fragment("user_features"), table, load_known(), None, min_feature_fill=0.01
                )
        views = {"raw": ["raw_bets", "raw_drift"]}
        if how != "raw":
            views["features"] = [
                "user_features",
                "feature_profile",
                "feature_set",
                "feature_pairs",
                "feature_drift",
            ]
        for stage, names in views.items():
            with stopwatch.step(stage):
                if how == "bare":
                    for suite in load_suites(stage):  # type: ignore[arg-type]
                        if suite.name == names[0]:
                            counted = ", ".join(_aggregates(suite.for_table(table)))
                            connection.execute(f"SELECT {counted} FROM {suite.name}").fetchall()
                else:
                    check(
                        connection,
                        stage=stage,  # type: ignore[arg-type]
                        views=names,
                        thresholds=thresholds_of(run, table, users=users),
                        subject=Subject(run_id="bench", as_of=run.window.as_of, known_at=run.known_at),
                        table=table,
                        only_these=True,
                    )
    report(stopwatch)


def _judge_by_pandas(bets: str) -> None:
    """Judge a DataFrame by the built-in expectations of the suite of bets. Reading it is timed too."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    (suite,) = (each for each in load_suites("raw") if each.name == "raw_bets")
    builtin = {"expect_column_values_to_not_be_null", "expect_column_values_to_be_between"}
    stopwatch = Stopwatch()
    context = gx.get_context(mode="ephemeral")
    batches = context.data_sources.add_pandas("pandas").add_dataframe_asset("bets")
    with stopwatch.step("pandas"):
        frame = pd.read_parquet(bets)
        batch = batches.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        for entry in suite.expectations:
            if entry.type in builtin:
                kwargs = {"column": entry.kwargs["column"], "mostly": 0.95}
                batch.validate(ExpectationConfiguration(type=entry.type, kwargs=kwargs).to_domain_obj())
        for column in ("stake", "payout", "rtp"):
            kwargs = {"column": column, "min_value": 0, "mostly": 0.95}
            between = ExpectationConfiguration(type="expect_column_values_to_be_between", kwargs=kwargs)
            batch.validate(between.to_domain_obj())
        unique = ExpectationConfiguration(
            type="expect_column_values_to_be_unique", kwargs={"column": "bet_id", "mostly": 0.95}
        )
        batch.validate(unique.to_domain_obj())
    report(stopwatch)


if __name__ == "__main__":
    if sys.argv[1] == "pandas":
        _judge_by_pandas(sys.argv[2])
    else:
        _judge(*sys.argv[1:4])
