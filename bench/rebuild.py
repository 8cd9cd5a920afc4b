"""The feature table from all cleaned events in one go, with the same statements but without keeping anything.

`python -m bench.rebuild <run as JSON>` reads the cleaned rows of a run, and writes the table to `key_of` that run.
"""

from __future__ import annotations

import sys

from bench.apart import Apart, Stopwatch, report, run_apart
from bench.workbench import PipelineRun
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.parquet import write_file
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.datasets.segments import rows_of_days
from crmbet.features import sessions as session_files
from crmbet.features import state as daily_state
from crmbet.features.themes import compute_themes, feature_queries
from crmbet.features.variables import bind_variables
from crmbet.run.records import read_manifest

REBUILD_MEMORY = "8GB"
"""Enough memory not to spill, so that the peer is not slowed down."""


def key_of(pipeline_run: PipelineRun) -> str:
    """The key of a run's table."""
    return f"bench/{pipeline_run.run.run_id}.parquet"


def rebuild_apart(pipeline_run: PipelineRun) -> Apart:
    """Rebuild in a separate process."""
    return run_apart("bench.rebuild", pipeline_run.to_json())


def rebuild(pipeline_run: PipelineRun) -> int:
    """Compute and write the table. Returns the number of players."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    cleaned = read_manifest(store, run.prefix, "clean", CleanManifest)
    contracts = load_source_contracts()
    with pipeline_run.work() as work:
        bind_variables(work.connection, run)
        for name in (*daily_state.SOURCES, "players"):
            source = cleaned.sources.get(name)
            # Days share files, and a file is read once.
            found = rows_of_days(store, source.days) if source else None
            rows = (
                render("databases/read_rows", source=found)
                if found
                else render("clean/no_rows", columns=typed_columns(contracts[name]))
            )
            work.connection.execute(
                render("databases/create_view", name=identifier(name), rows=Fragment(rows))
            )
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
            sessions=Fragment(f"({render('features/sessions/derive_sessions', days=joined(days))})"),
        )
        slices = "\nUNION ALL\n".join(
            f"({query})" for query in feature_queries(work.connection, run, load_table_contract())
        )
        key, users = write_file(work, key_of(pipeline_run), slices)
        store.move(key, key_of(pipeline_run))
        return users


def main() -> None:
    """Rebuild the table of the run that the command line describes."""
    pipeline_run = PipelineRun.from_json(sys.argv[1])
    stopwatch = Stopwatch()
    with stopwatch.step("rebuild"):
        users = rebuild(pipeline_run)
    report(stopwatch, users=users)


if __name__ == "__main__":
    main()
