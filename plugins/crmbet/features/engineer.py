"""From cleaned rows to the feature table: daily state, sessions, then one statement per theme.

State and sessions are small tables kept by day; every feature is a function of them alone, so a day's run costs a day
(docs/store.md). The formulas are in include/sql/features/themes/, the meanings in include/contracts/user_features.yaml.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from crmbet import FEATURE_SET_VERSION
from crmbet.contracts.files import SourceContract, TableContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.statements import (
    Fragment,
    identifier,
    joined,
    literal,
    render,
    statement,
    statements_digest,
)
from crmbet.datasets.days import (
    attempt_name,
    ensure_days,
    find_days,
    scan,
    unmade_day,
    write_by_day,
    write_file,
)
from crmbet.datasets.prefetch import Fetched, Located
from crmbet.datasets.thirty_days import block_files
from crmbet.features.matrix import write_matrix
from crmbet.learning.fits import read_earlier_fits
from crmbet.learning.scoring import score_players
from crmbet.learning.thresholds import read_thresholds
from crmbet.run.progress import timed
from crmbet.run.records import (
    CleanedSource,
    CleanManifest,
    DayFiles,
    FeatureManifest,
    Learned,
    ModelFit,
    ModelRun,
)
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

THEMES = (
    "users",
    "games",
    "stakes",
    "results",
    "hours",
    "rhythm",
    "devices",
    "visits",
    "money",
    "rfm",
    "lifecycle",
    "channels",
    "diversity",
    "protection_play",
    "protection_sessions",
    "protection_limits",
    "protection_values",
    "thresholds",
    "markers",
    "consent",
)
"""Statements in include/sql/features/themes/, each after those that it asks; `assemble_features` joins them."""

BYTES_A_PLAYER = 4096
"""Memory in which a player's row is joined, of all themes together: a file of the table holds as many players as
fit. A million at once did not fit into 1 GB."""

TABLES = "feature_tables"
"""Markers of feature tables, which lie in the folders of the runs that made them."""

SIGNATURE = ("known_at", "execution_id")
"""Variables that say which run has made a table, and alter nothing else in it."""

STATE_SOURCES = ("bets", "transactions", "communications", "limits")
SESSION_DAYS = 30
"""Days of sessions that features go over, and the longest that a recorded session takes bets."""


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
    with timed(log, "state"):
        state, built = _ensure_state(connection, store, run, contracts, cleaned)
    with timed(log, "sessions"):
        sessions, session_rows, sessions_built = _ensure_sessions(connection, store, run, contracts, cleaned)
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
    player_files = [key for day in player_days for key in day.files]
    _create_view(connection, store, "players", player_files, contracts["players"])
    frozen = None if run.params.refreeze_thresholds else _frozen_thresholds(store, run)
    fits = read_earlier_fits(store, run.layout, as_of=run.as_of_date, known_at=run.known_at)

    def digest(thresholds: Mapping[str, float] | None) -> str:
        return _table_digest(
            run,
            contracts,
            table,
            days=(state, sessions, player_days),
            thresholds=thresholds,
            fits=fits,
        )

    found = _find_table(store, run, digest(frozen))
    if found:
        log.info("nothing that the features are made from has changed: an earlier run's table is signed anew")
        signed = [render("datasets/sign_rows", source=scan(store, [key])) for key in found.files]
        files, _ = _write_table(connection, store, run, signed)
        return manifest.model_copy(update={"files": files, "users": found.users, "learned": found.learned})
    with timed(log, "blocks of state"):
        blocks = block_files(connection, store, run, "state_blocks", state)
    models = compute_themes(
        connection,
        run,
        state=_state_rows(connection, store, contracts, blocks),
        sessions=session_rows,
        thresholds=frozen,
        fits=fits,
    )
    with timed(log, "feature table"):
        files, users = _write_table(connection, store, run, assemblies(connection, run, table))
    with timed(log, "matrix"):
        matrix = write_matrix(connection, store, run, table, files)
    learned = Learned(
        thresholds=dict(connection.execute(statement("features/themes/used_thresholds")).fetchall()),
        models=models,
        matrix=matrix,
    )
    store.write(_learned_key(files), learned.model_dump_json(indent=1).encode())
    # Its own thresholds may be frozen by the time of the next run, which then asks for them by their values.
    _mark_table(store, run, {digest(frozen), digest(learned.thresholds)}, _Table(files, users, learned))
    return manifest.model_copy(update={"files": files, "users": users, "learned": learned})


@dataclass(frozen=True)
class _Table:
    """A feature table in the folder of a run."""

    files: list[str]
    users: int
    learned: Learned


def _find_table(store: ObjectStore, run: Run, digest: str) -> _Table | None:
    """The table that another run has made from the same."""
    if run.params.full_refresh:
        return None
    found, _ = find_days(store, run.layout, TABLES, {run.as_of_date: digest})
    if run.as_of_date not in found:
        return None
    table = found[run.as_of_date]
    content = store.read(_learned_key(table.files))
    return _Table(table.files, table.rows, Learned.model_validate_json(content)) if content else None


def _write_table(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, queries: Iterable[str]
) -> tuple[list[str], int]:
    """Write a file for each query into the run's folder; returns their keys and the players in them."""
    attempt = attempt_name()
    files, users = [], 0
    for number, query in enumerate(queries):
        files.append(f"{run.prefix}features/{attempt}_{number}.parquet")
        users += write_file(connection, store, run, files[-1], query)
    return files, users


def _mark_table(store: ObjectStore, run: Run, digests: Iterable[str], made: _Table) -> None:
    """Say what a table was made from, last, so that nobody finds half of it."""
    _, markers = find_days(store, run.layout, TABLES, {})
    markers.write(
        {
            run.layout.day(TABLES, run.as_of_date, digest).marker(attempt_name()): (
                unmade_day(run, run.as_of_date, digest)
                .model_copy(update={"files": made.files, "rows": made.users})
                .model_dump_json()
                .encode()
            )
            for digest in digests
        }
    )
    markers.write_index(attempt_name())


def _learned_key(files: Sequence[str]) -> str:
    return files[0].removesuffix(".parquet") + ".json"


def _frozen_thresholds(store: ObjectStore, run: Run) -> dict[str, float] | None:
    act = read_thresholds(
        store, run.layout, FEATURE_SET_VERSION, as_of_date=run.as_of_date, known_at=run.known_at
    )
    return act.thresholds if act else None


def _table_digest(
    run: Run,
    contracts: Mapping[str, SourceContract],
    table: TableContract,
    *,
    days: Sequence[Sequence[DayFiles]],
    thresholds: Mapping[str, float] | None,
    fits: Mapping[str, ModelFit],
) -> str:
    """Identity of a feature table, but for what says which run has made it: of all that its statements read.

    What is computed elsewhere than in statements changes FEATURE_SET_VERSION, which is among the variables.
    """
    variables = {name: value for name, value in _variables(run).items() if name not in SIGNATURE}
    parts = [[(day.day, day.digest) for day in part] for part in days]
    statements = statements_digest(
        ".", "features/themes", "learning", "features/state", "features/sessions", "clean"
    )
    settings = run.settings.model_dump(
        mode="json",
        include={"clv_margin", "clv_monthly_discount_rate", "min_model_cohort", "min_calibration_users"},
    )
    read = (
        variables,
        settings,
        None if thresholds is None else sorted(thresholds.items()),
        sorted((name, fit.model_dump_json()) for name, fit in fits.items()),
        parts,
        statements,
        table.digest,
        [contracts[name].digest for name in sorted(contracts)],
    )
    return hashlib.sha256(repr(read).encode()).hexdigest()[:24]


def compute_themes(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    *,
    state: Fragment,
    sessions: Fragment,
    thresholds: Mapping[str, float] | None = None,
    fits: Mapping[str, ModelFit] | None = None,
) -> ModelRun:
    """Compute every theme, for `assemblies` to join; returns what the models learned.

    `state` and `sessions` are table expressions that hold nothing at or after as_of. The variables are bound and
    `players` exists as a table or view. `thresholds` (marker to threshold) are those that have been frozen; None:
    they are taken from this run's players. `fits` serve a model that this run's players do not suffice for.
    """
    read = {"state": state, "recent_state": state, "recent_messages": state, "sessions": sessions}
    for name, source in read.items():
        with timed(log, f"reading {name}"):
            _create_table(connection, name, render(f"features/themes/read_{name}", source=source))
    connection.execute(statement("features/themes/create_measures"))
    with timed(log, "models"):
        models = score_players(connection, run.settings, run.as_of_date, fits)
    for name in THEMES:
        frozen = name == "thresholds" and thresholds is not None
        rows = _frozen_rows(thresholds or {}) if frozen else statement(f"features/themes/{name}")
        with timed(log, f"theme {name}"):
            _create_table(connection, name, rows)
    # The joins of all themes need the memory more than what nobody asks again.
    for name in read:
        connection.execute(f"DROP TABLE {identifier(name)}")
    return models


def _frozen_rows(thresholds: Mapping[str, float]) -> str:
    rows = [Fragment(f"({literal(name)}, {value!r}::DOUBLE)") for name, value in sorted(thresholds.items())]
    return render("features/themes/frozen_thresholds", rows=joined(rows))


def assemblies(connection: duckdb.DuckDBPyConnection, run: Run, table: TableContract) -> list[str]:
    """SELECTs of the run's feature table, each of as many players as fit into memory, in order of their ids.

    They have the contract's columns in order, but those which the load sets.
    """
    columns = joined([identifier(name) for name in (table.key, *table.features)])
    hashed = joined([Fragment(f"{identifier(name)} := {identifier(name)}") for name in table.features])
    size = max(1, run.settings.memory_bytes // BYTES_A_PLAYER)
    slices = render("features/themes/list_slices", size=Fragment(str(size)))
    firsts = [literal(str(first)) for (first,) in connection.execute(slices).fetchall()]
    # The first slice is open to below, so that there is one where there is no player.
    bounds = pairwise([None, *firsts[1:], None])
    return [
        render("features/themes/assemble_features", columns=columns, hashed=hashed, within=_within(*bound))
        for bound in bounds
    ]


def _within(first: Fragment | None, beyond: Fragment | None) -> Fragment:
    conditions = [
        Fragment(f"user_id {sign} {bound}") for sign, bound in ((">=", first), ("<", beyond)) if bound
    ]
    return joined(conditions, " AND ") or Fragment("true")


def bind_variables(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Set what the statements ask for by name. Instants are naive UTC."""
    # Literals: a bound parameter makes the engine's client import pandas, which takes a second.
    for name, value in _variables(run).items():
        connection.execute(render("databases/set_variable", name=identifier(name), value=value))


def _variables(run: Run) -> dict[str, Fragment]:
    return {
        "as_of": _instant(run.window.as_of),
        "as_of_date": Fragment(f"DATE {literal(run.window.as_of_date.isoformat())}"),
        "last_day": Fragment(f"DATE {literal(run.window.last_day.isoformat())}"),
        "known_at": _instant(run.known_at),
        "operator_zone": literal(run.settings.operator_timezone),
        "ticket_low": Fragment(f"{run.settings.ticket_low}::DECIMAL(14, 2)"),
        "ticket_high": Fragment(f"{run.settings.ticket_high}::DECIMAL(14, 2)"),
        "adult_age": Fragment(f"{run.settings.adult_age}::INTEGER"),
        "rg_min_cohort": Fragment(f"{run.settings.rg_min_cohort}::INTEGER"),
        "rg_band_medium": Fragment(f"{run.settings.rg_band_medium}::DOUBLE"),
        "rg_band_high": Fragment(f"{run.settings.rg_band_high}::DOUBLE"),
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
    sql = statements_digest("features/state")
    wanted = {
        day: _digest(
            sql,
            run,
            *(by_source[name][day].digest if day in by_source[name] else "" for name in STATE_SOURCES),
        )
        for day in days
    }

    def files_of(name: str, day: date) -> list[str]:
        return by_source[name][day].files if day in by_source[name] else []

    def reads(day: date) -> list[str]:
        return [key for name in STATE_SOURCES for key in files_of(name, day)]

    def make(batch: Sequence[date], fetched: Fetched) -> Iterable[DayFiles]:
        for name in STATE_SOURCES:
            files = [key for day in batch for key in files_of(name, day)]
            _create_view(connection, fetched, name, files, contracts[name])
        return _write(
            connection, store, run, "state", statement("features/state/summarise_days"), batch, wanted
        )

    rows = {
        day: sum(by_source[name][day].rows for name in STATE_SOURCES if day in by_source[name])
        for day in days
    }
    return ensure_days(store, run, "state", wanted, make, rows, reads)


def _ensure_sessions(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], Fragment, list[date]]:
    """Sessions of the last 30 days before as_of: their days, a table expression, and the days made now.

    They are the recorded ones where any before as_of is known, else derived from bets. A feed that starts later is
    none yet: it must not change an earlier table.
    """
    recorded = cleaned.sources.get("sessions")
    if recorded is None or not recorded.accepted:
        days, made = _derive_sessions(connection, store, run, contracts, cleaned)
        return days, _rows_of(store, days, "features/sessions/no_sessions"), made
    days, made = _assign_bets(connection, store, run, contracts, cleaned)
    sessions = [day for day in recorded.days if _is_recent(day.day, run)]
    _create_view(
        connection, store, "recorded", [key for day in sessions for key in day.files], contracts["sessions"]
    )
    query = render(
        "features/sessions/add_bets",
        recorded=identifier("recorded"),
        session_bets=_rows_of(store, days, "features/sessions/no_session_bets"),
    )
    return [*sessions, *days], Fragment(f"({query})"), made


def _derive_sessions(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    """A derived day depends on its neighbours, since a session may run past midnight until 06:00."""
    bets = _by_day(cleaned.sources.get("bets"))
    sql = statements_digest("features/sessions")

    def around(day: date) -> list[date]:
        return [near for near in (day - timedelta(days=1), day, day + timedelta(days=1)) if near in bets]

    def reads(day: date) -> list[str]:
        return [key for near in around(day) for key in bets[near].files]

    def make(batch: Sequence[date], fetched: Fetched) -> Iterable[DayFiles]:
        files = sorted({key for day in batch for key in reads(day)})
        _create_view(connection, fetched, "bets", files, contracts["bets"])
        query = render("features/sessions/derive_sessions", days=_date_list(batch))
        return _write(connection, store, run, "sessions", query, batch, wanted)

    recent = [day for day in bets if _is_recent(day, run)]
    wanted = {day: _digest(sql, run, *(bets[near].digest for near in around(day))) for day in recent}
    rows = {day: bets[day].rows for day in recent}
    return ensure_days(store, run, "sessions", wanted, make, rows, reads)


def _assign_bets(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    """Bets by recorded session. A day of bets depends on the sessions that may hold them."""
    bets, sessions = _by_day(cleaned.sources.get("bets")), _by_day(cleaned.sources.get("sessions"))
    sql = statements_digest("features/sessions")

    def reach(day: date) -> list[date]:
        days = (day + timedelta(days=offset) for offset in range(1 - SESSION_DAYS, 2))
        return [near for near in days if near in sessions]

    def sessions_near(day: date) -> list[str]:
        return [key for near in reach(day) for key in sessions[near].files]

    def reads(day: date) -> list[str]:
        return [*bets[day].files, *sessions_near(day)]

    def make(batch: Sequence[date], fetched: Fetched) -> Iterable[DayFiles]:
        for name, source, files in (
            ("bets", "bets", [key for day in batch for key in bets[day].files]),
            ("recorded", "sessions", sorted({key for day in batch for key in sessions_near(day)})),
        ):
            _create_view(connection, fetched, name, files, contracts[source])
        query = render("features/sessions/assign_bets", days=_date_list(batch))
        return _write(connection, store, run, "session_bets", query, batch, wanted)

    recent = [day for day in bets if _is_recent(day, run)]
    wanted = {
        day: _digest(sql, run, bets[day].digest, *(sessions[near].digest for near in reach(day)))
        for day in recent
    }
    rows = {day: bets[day].rows for day in recent}
    return ensure_days(store, run, "session_bets", wanted, make, rows, reads)


def _is_recent(day: date, run: Run) -> bool:
    return (run.window.last_day - day).days < SESSION_DAYS


def _date_list(days: Iterable[date]) -> Fragment:
    return joined([Fragment(f"DATE {literal(day.isoformat())}") for day in days])


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
    return Fragment(f"({statement('features/state/summarise_days')})")


def _rows_of(store: ObjectStore, days: Iterable[DayFiles], nothing: str) -> Fragment:
    """The files of some days, or what has their columns and no rows."""
    files = [key for day in days for key in day.files]
    return scan(store, files) if files else Fragment(f"({statement(nothing)})")


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    """A table, since every theme is read several times."""
    connection.execute(render("databases/create_table", name=identifier(name), rows=Fragment(rows)))


def _create_view(
    connection: duckdb.DuckDBPyConnection,
    store: Located,
    name: str,
    files: Sequence[str],
    contract: SourceContract,
) -> None:
    """A view of a source's cleaned rows; without files it has the columns and no rows."""
    if files:
        rows = render("databases/read_rows", source=scan(store, files))
    else:
        rows = render("clean/no_rows", columns=typed_columns(contract))
    connection.execute(render("databases/create_view", name=identifier(name), rows=Fragment(rows)))


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
