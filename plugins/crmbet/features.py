"""From cleaned rows to the feature table: daily state, sessions, then one statement per theme.

State and sessions are small tables kept by day; every feature is a function of them alone, so a day's run costs a day
(docs/store.md). The formulas are in include/sql/features/, the meanings in include/contracts/user_features.yaml.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from crmbet import FEATURE_SET_VERSION
from crmbet.blocks import block_files
from crmbet.contracts import SourceContract, TableContract
from crmbet.manifest import CleanedSource, CleanManifest, DayFiles, FeatureManifest
from crmbet.object_store import ObjectStore
from crmbet.partitions import attempt_name, ensure_days, scan, unmade_day, write_by_day, write_file
from crmbet.run import Run
from crmbet.statements import Fragment, identifier, joined, literal, render, statement, statements_digest
from crmbet.typing_rules import typed_columns

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

THEMES = ("games", "stakes", "hours", "rhythm", "visits", "money", "rfm", "value", "churn", "channels")
"""Statements in include/sql/features/, each at the grain of one player; `assemble_features` joins them."""

TABLES = "feature_tables"
"""Markers of feature tables, which lie in the folders of the runs that made them."""

SIGNATURE = ("known_at", "execution_id")
"""Variables that say which run has made a table, and alter nothing else in it."""

STATE_SOURCES = ("bets", "transactions", "communications")


def engineer_features(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    table: TableContract,
    cleaned: CleanManifest,
) -> FeatureManifest:
    """Bring state and sessions up to date for all days before as_of, and write the feature table of the run.

    A dry run only finds out which days that would be.
    """
    bind_variables(connection, run)
    state, built = _ensure_state(connection, store, run, contracts, cleaned)
    sessions, sessions_built = _ensure_sessions(connection, store, run, contracts, cleaned)
    log.info("state: %d days, of which %d were made now", len(state), len(built))
    manifest = FeatureManifest(
        files=[],
        state_files=[key for day in state for key in day.files],
        session_files=[key for day in sessions for key in day.files],
        users=0,
        state_rows=sum(day.rows for day in state),
        session_rows=sum(day.rows for day in sessions),
        days=len(state),
        days_built=len(built),
        sessions_built=len(sessions_built),
    )
    if run.params.dry_run:
        return manifest

    players = cleaned.sources.get("players")
    player_days = players.days if players else []

    def make(_as_of: Sequence[date]) -> Iterable[DayFiles]:
        _create_view(
            connection,
            store,
            "players",
            [key for day in player_days for key in day.files],
            contracts["players"],
        )
        query = compute_themes(
            connection,
            table,
            state=_state_rows(
                connection, store, contracts, block_files(connection, store, run, "state_blocks", state)
            ),
            sessions=_session_rows(store, block_files(connection, store, run, "session_blocks", sessions)),
        )
        rows = write_file(connection, store, run, key, query)
        yield unmade_day(run, run.as_of_date, digest).model_copy(update={"files": [key], "rows": rows})

    key = f"{run.prefix}features/{attempt_name()}.parquet"
    digest = _table_digest(run, contracts, table, state=state, sessions=sessions, players=player_days)
    (made,), _ = ensure_days(
        store, run, TABLES, {run.as_of_date: digest}, make, {run.as_of_date: manifest.state_rows}
    )
    if made.files != [key]:
        log.info(
            "nothing that the features are made from has changed: the table of an earlier run is signed anew"
        )
        signed = render("store/sign_rows", source=scan(store, made.files))
        write_file(connection, store, run, key, signed)
    return manifest.model_copy(update={"files": [key], "users": made.rows})


def _table_digest(
    run: Run,
    contracts: Mapping[str, SourceContract],
    table: TableContract,
    *,
    state: Sequence[DayFiles],
    sessions: Sequence[DayFiles],
    players: Sequence[DayFiles],
) -> str:
    """Identity of a feature table, but for what says which run has made it: of all that its statements read.

    What is computed elsewhere than in statements changes FEATURE_SET_VERSION, which is among the variables.
    """
    variables = {name: value for name, value in _variables(run).items() if name not in SIGNATURE}
    parts = [[(day.day, day.digest) for day in days] for days in (state, sessions, players)]
    statements = statements_digest(".", "features", "state", "sessions", "clean")
    read = (
        variables,
        parts,
        statements,
        table.digest,
        [contracts[name].digest for name in sorted(contracts)],
    )
    return hashlib.sha256(repr(read).encode()).hexdigest()[:24]


def compute_themes(
    connection: duckdb.DuckDBPyConnection, table: TableContract, *, state: Fragment, sessions: Fragment
) -> str:
    """Compute every theme; returns the SELECT of the feature table over them.

    `state` and `sessions` are table expressions that hold nothing at or after as_of. The variables are bound and
    `players` exists as a table or view.
    """
    _create_dated(connection, "state", state)
    _create_dated(connection, "sessions", sessions)
    connection.execute(statement("features/create_measures"))
    for name in ("users", *THEMES):
        rows = Fragment(statement(f"features/{name}"))
        connection.execute(render("store/create_table", name=identifier(name), rows=rows))
    return assembly(table)


def assembly(table: TableContract) -> str:
    """SELECT of the run's feature table: the contract's columns in order, but `updated_at`, which the load sets."""
    hashed = [Fragment(f"{identifier(name)} := {identifier(name)}") for name in table.features]
    return render(
        "features/assemble_features",
        columns=joined([identifier(name) for name in (table.key, *table.features)]),
        hashed=joined(hashed),
    )


def bind_variables(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Set what the statements ask for by name. Instants are naive UTC."""
    # Literals: a bound parameter makes the engine's client import pandas, which takes a second.
    for name, value in _variables(run).items():
        connection.execute(render("store/set_variable", name=identifier(name), value=value))


def _variables(run: Run) -> dict[str, Fragment]:
    return {
        "as_of": _instant(run.window.as_of),
        "last_day": Fragment(f"DATE {literal(run.window.last_day.isoformat())}"),
        "known_at": _instant(run.known_at),
        "operator_zone": literal(run.settings.operator_timezone),
        "ticket_low": Fragment(f"{run.settings.ticket_low}::DECIMAL(14, 2)"),
        "ticket_high": Fragment(f"{run.settings.ticket_high}::DECIMAL(14, 2)"),
        "feature_set_version": literal(FEATURE_SET_VERSION),
        "execution_id": literal(run.run_id),
    }


def _ensure_state(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    by_source = {name: _by_day(cleaned.sources.get(name)) for name in STATE_SOURCES}
    days = sorted(set().union(*by_source.values()))
    sql = statements_digest("state")
    wanted = {
        day: _digest(
            sql,
            run,
            *(by_source[name][day].digest if day in by_source[name] else "" for name in STATE_SOURCES),
        )
        for day in days
    }

    def make(batch: Sequence[date]) -> Iterable[DayFiles]:
        for name in STATE_SOURCES:
            files = [key for day in batch if day in by_source[name] for key in by_source[name][day].files]
            _create_view(connection, store, name, files, contracts[name])
        return _write(connection, store, run, "state", statement("state/summarise_days"), batch, wanted)

    rows = {
        day: sum(by_source[name][day].rows for name in STATE_SOURCES if day in by_source[name])
        for day in days
    }
    return ensure_days(store, run, "state", wanted, make, rows)


def _ensure_sessions(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    """The recorded sessions where any before as_of is known, else sessions derived from bets; and the days made now.

    A feed that starts later is none yet: it must not change an earlier table. A derived day depends on its
    neighbours, since a session may run past midnight until 06:00.
    """
    recorded = cleaned.sources.get("sessions")
    if recorded is not None and recorded.accepted:
        return recorded.days, []
    bets = _by_day(cleaned.sources.get("bets"))
    sql = statements_digest("sessions")

    def around(day: date) -> list[date]:
        return [near for near in (day - timedelta(days=1), day, day + timedelta(days=1)) if near in bets]

    wanted = {day: _digest(sql, run, *(bets[near].digest for near in around(day))) for day in bets}

    def make(batch: Sequence[date]) -> Iterable[DayFiles]:
        near = sorted({neighbour for day in batch for neighbour in around(day)})
        _create_view(
            connection, store, "bets", [key for day in near for key in bets[day].files], contracts["bets"]
        )
        query = render(
            "sessions/derive_sessions",
            days=joined([Fragment(f"DATE {literal(day.isoformat())}") for day in batch]),
        )
        return _write(connection, store, run, "sessions", query, batch, wanted)

    rows = {day: files.rows for day, files in bets.items()}
    return ensure_days(store, run, "sessions", wanted, make, rows)


def _state_rows(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    contracts: Mapping[str, SourceContract],
    files: Sequence[str],
) -> Fragment:
    if files:
        return scan(store, files)
    # Nothing happened before as_of; players may have registered.
    for name in STATE_SOURCES:
        _create_view(connection, store, name, [], contracts[name])
    return Fragment(f"({statement('state/summarise_days')})")


def _session_rows(store: ObjectStore, files: Sequence[str]) -> Fragment:
    return scan(store, files) if files else Fragment(f"({statement('sessions/no_sessions')})")


def _create_dated(connection: duckdb.DuckDBPyConnection, name: str, source: Fragment) -> None:
    """A table with ages, read from S3 once, since every theme goes over it."""
    rows = Fragment(render("features/read_dated_rows", source=source))
    connection.execute(render("store/create_table", name=identifier(name), rows=rows))


def _create_view(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    name: str,
    files: Sequence[str],
    contract: SourceContract,
) -> None:
    """A view of a source's cleaned rows; without files it has the columns and no rows."""
    if files:
        rows = render("store/read_rows", source=scan(store, files))
    else:
        rows = render("clean/no_rows", columns=typed_columns(contract))
    connection.execute(render("store/create_view", name=identifier(name), rows=Fragment(rows)))


def _write(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    dataset: str,
    query: str,
    batch: Sequence[date],
    wanted: Mapping[date, str],
) -> list[DayFiles]:
    digests = {day: wanted[day] for day in batch}
    made = {day: unmade_day(run, day, wanted[day]) for day in batch}
    for file in write_by_day(connection, store, run, dataset, query, digests):
        day = made[file.day]
        made[file.day] = day.model_copy(
            update={"files": [*day.files, file.key], "rows": day.rows + file.rows}
        )
    return list(made.values())


def _by_day(source: CleanedSource | None) -> dict[date, DayFiles]:
    return {day.day: day for day in source.days} if source else {}


def _digest(sql: str, run: Run, *parts: str) -> str:
    return hashlib.sha256("\0".join((sql, run.settings.operator_timezone, *parts)).encode()).hexdigest()[:24]


def _instant(instant: datetime) -> Fragment:
    return Fragment(f"TIMESTAMP {literal(instant.astimezone(UTC).replace(tzinfo=None).isoformat(' '))}")
