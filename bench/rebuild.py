"""The feature table from all events in one go, with the same statements but without keeping anything.

`python -m bench.rebuild <run as JSON> cleaned|captured` reads the cleaned or the captured rows of a run, and writes the
table to `key_of` that run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Literal

from bench.apart import Apart, Stopwatch, report, run_apart
from bench.pipeline import features_of
from bench.workbench import PipelineRun
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.plain import looked_over_rows, may_be_plain
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import cleaned_columns, known_time, typed_columns, typed_rows
from crmbet.databases.parquet import write_file
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    identifier,
    instant_literal,
    joined,
    literal,
    render,
    statement,
)
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.datasets.segments import rows_of_days
from crmbet.extract.captured import captured_rows
from crmbet.extract.records import ExtractManifest
from crmbet.features import sessions as session_files
from crmbet.features import state as daily_state
from crmbet.features.sessions import derived_sessions
from crmbet.features.themes import compute_themes, feature_queries
from crmbet.features.variables import bind_variables
from crmbet.run.records import read_manifest
from crmbet.run.tasks import EXTRACTS

REBUILD_MEMORY = "8GB"
"""Enough memory not to spill, so that the peer is not slowed down."""


def key_of(pipeline_run: PipelineRun) -> str:
    """The key of a run's table."""
    return f"bench/{pipeline_run.run.run_id}.parquet"


def differing_rows(pipeline_run: PipelineRun) -> int:
    """Players that only the run's or the rebuilt table has, or that have other features in it."""
    with pipeline_run.operator.engine() as engine:
        rebuilt = pipeline_run.operator.store.url(key_of(pipeline_run))
        [(differing,)] = engine.execute(
            "SELECT count(*) FILTER (ours.row_hash IS DISTINCT FROM rebuilt.row_hash) "
            f"FROM read_parquet({features_of(pipeline_run)}, hive_partitioning = false) AS ours "
            f"FULL JOIN read_parquet('{rebuilt}') AS rebuilt USING (user_id)"
        ).fetchall()
    return int(differing)


def rebuild_apart(pipeline_run: PipelineRun, rows: Literal["cleaned", "captured"] = "cleaned") -> Apart:
    """Rebuild in a separate process."""
    return run_apart("bench.rebuild", pipeline_run.to_json(), rows)


def rebuild(pipeline_run: PipelineRun, prepare: Callable[[Work, CleanManifest], None]) -> int:
    """Compute and write the table from the sources that `prepare` makes. Returns the number of players."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    cleaned = read_manifest(store, run.prefix, "clean", CleanManifest)
    with pipeline_run.work() as work:
        bind_variables(work.connection, run)
        prepare(work, cleaned)
        none = Fragment(statement("features/themes/no_unreadable_exclusions"))
        work.connection.execute(
            render("databases/create_view", name=identifier("unreadable_exclusions"), rows=none)
        )
        # Features only look at the sessions of the last days. More sessions would make the peer slower than necessary.
        days = [
            Fragment(f"DATE {literal(day.day.isoformat())}")
            for day in cleaned.sources["bets"].days
            if (run.window.last_day - day.day).days < session_files.DAYS
        ]
        compute_themes(
            work.connection,
            run,
            state=Fragment(f"({statement('features/state/summarise_days')})"),
            sessions=Fragment(f"({derived_sessions(joined(days))})"),
        )
        slices = "\nUNION ALL\n".join(
            f"({query})" for query in feature_queries(work.connection, run, load_table_contract())
        )
        key, users = write_file(work, key_of(pipeline_run), slices)
        store.move(key, key_of(pipeline_run))
        return users


def show_cleaned(work: Work, cleaned: CleanManifest) -> None:
    """Make a view of the cleaned rows of each source."""
    contracts = load_source_contracts()
    for name in SOURCES:
        source = cleaned.sources.get(name)
        # Days share files, and a file is read once.
        found = rows_of_days(work.store, source.days) if source else None
        rows = (
            render("databases/read_rows", source=found)
            if found
            else render("clean/no_rows", columns=typed_columns(contracts[name]))
        )
        work.connection.execute(render("databases/create_view", name=identifier(name), rows=Fragment(rows)))


def clean_bare(work: Work, _cleaned: CleanManifest) -> None:
    """Make a table of each source from its captured rows: read, without faulty rows, without duplicates.

    Rows are looked over as the pipeline does it, so that only odd ones cost more than a cast. Nothing is counted or
    kept.
    """
    run, contracts = work.run, load_source_contracts()
    captured = {
        name: captures.captures
        for task in EXTRACTS
        for name, captures in read_manifest(work.store, run.prefix, task, ExtractManifest).sources.items()
    }
    with local_copies(work) as files:
        for name in SOURCES:
            contract, table = contracts[name], identifier(name)
            if captures := captured.get(name):
                _read_bare(work, contract, captured_rows(files, captures), captures[0].types)
                key = joined([identifier(column) for column in contract.business_key])
                twice = f"SELECT hash({key}, _day) FROM {table} GROUP BY ALL HAVING count(*) > 1"
                work.connection.execute(
                    f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} "
                    f"WHERE hash({key}, _day) IN ({twice}) QUALIFY row_number() OVER "
                    f"(PARTITION BY {key}, _day ORDER BY {known_time(contract)} DESC NULLS LAST) > 1)"
                )
            else:
                none = render("clean/no_rows", columns=typed_columns(contract))
                work.connection.execute(f"CREATE TEMPORARY TABLE {table} AS {none}")


def _read_bare(work: Work, contract: SourceContract, rows: Fragment, types: Mapping[str, str]) -> None:
    """Make the table of a source's rows that the run looks at."""
    run, table = work.run, identifier(contract.name)
    known, day = known_time(contract), Fragment("_day")
    if not contract.event_time:
        day = date_literal(run.window.last_day)
    known_at = instant_literal(run.known_at)
    within = f"_day < {date_literal(run.as_of_date)} AND ({known} IS NULL OR {known} <= {known_at})"
    kept = f"SELECT {cleaned_columns(contract)}, _day FROM (%s) WHERE _fault IS NULL AND {within}"
    if not (contract.event_time and may_be_plain(contract, types)):
        typed = typed_rows(contract, rows, types, day)
        work.connection.execute(f"CREATE TEMPORARY TABLE {table} AS {kept % typed}")
        return
    columns = joined([identifier(column) for column in contract.columns])
    if contract.protecting:
        columns = Fragment(f"{columns}, NULL::VARCHAR[] AS protection_unreadable")
    plain = looked_over_rows(contract, rows, types, day)
    work.connection.execute(
        f"CREATE TEMPORARY TABLE {table} AS "
        f"SELECT {columns}, _placed AS _day, _odd, _row, _source_key, _placed, _captured FROM ({plain}) "
        f"WHERE _odd OR ({within})"
    )
    odd = Fragment(f"({render('clean/select_odd_cells', looked_over=table)})")
    judged = typed_rows(contract, odd, types, Fragment("_placed"))
    work.connection.execute(f"INSERT INTO {table} BY NAME {kept % judged}")
    work.connection.execute(f"DELETE FROM {table} WHERE _odd")


SOURCES = (*daily_state.SOURCES, "players")
PREPARED = {"cleaned": show_cleaned, "captured": clean_bare}


def main() -> None:
    """Rebuild the table of the run that the command line describes."""
    pipeline_run = PipelineRun.from_json(sys.argv[1])
    stopwatch = Stopwatch()
    with stopwatch.step("rebuild"):
        users = rebuild(pipeline_run, PREPARED[sys.argv[2]])
    report(stopwatch, users=users)


if __name__ == "__main__":
    main()
