"""The run's staging table: the data engine fills it from checked files and commits it; it is dropped in every outcome.

A staging table belongs to one run and is named after it. A retry therefore finds and replaces what a killed try left,
and several runs can stage at the same time; only the load itself is serialised. While a try lives, its session claims
the table's name by an advisory lock, which ends with the session. Another try of the same run waits for it, since both
would write one table. The next run drops tables that nobody claims.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet import metering
from crmbet.contracts.table import ENGINE_TYPES
from crmbet.databases.duckdb import attach_postgres
from crmbet.databases.duckdb_failures import explain_copy
from crmbet.databases.postgres import single_row
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.failures import CrmbetError, LoadRefused, LockHeld
from crmbet.load.session import DDL_WAIT_SECONDS, limit_lock_wait
from crmbet.load.target import column_list
from crmbet.storage.digests import digest
from crmbet.storage.threads import threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from crmbet.contracts.table import TableContract
    from crmbet.load.session import LoadSession

log = logging.getLogger(__name__)

ENGINE_ALIAS = "target"
PARALLEL_COPIES = 2
"""With a single copy, either the engine or the server would always wait for the other."""
RECOMPUTE = "clear engineer_features and what follows it"
COMMENT = "Staging of run "
"""The beginning of a staging table's comment. A table without it belongs to somebody else."""


@dataclass(frozen=True)
class Staging:
    """A filled and committed staging table, made of checked files."""

    table: str
    """Its name, in the target's schema."""
    rows: int
    """Number of rows that it must hold. The load checks it again."""


@contextmanager
def staged(
    session: LoadSession,
    engine: duckdb.DuckDBPyConnection,
    dsn: str,
    files: Sequence[str],
    expected_rows: int,
) -> Iterator[Staging]:
    """Copy the rows of Parquet files into a staging table, which exists until the `with` block ends.

    `files` are s3:// addresses or paths that `engine` can read. They hold all columns that a run computes, with the
    contract's types, in any order. `dsn` is a libpq URL or key=value string of the target's database. Afterwards the
    engine runs on one thread.

    Raises `LoadRefused`, before the database is touched, if columns, row count, required values or keys are wrong.
    Raises `SourceMissing` if a file is gone, `LostConnection` if S3 or PostgreSQL go away, and `LockHeld` if another
    try of the run is still loading.
    """
    source = _read_parquet(files)
    _refuse_other_columns(session, engine, source)
    _refuse_bad_rows(session, engine, source, expected_rows)
    name = staging_name(session.contract, session.run_id)
    _sweep_unclaimed(session, name)
    with _claimed(session, name):
        try:
            _create(session, name)
            _fill(session, engine, dsn, name, source)
            _analyze(session, name)
            yield Staging(table=name, rows=expected_rows)
        except BaseException:
            _drop_quietly(session, name)
            raise
        _drop(session, name)


def staging_name(contract: TableContract, run_id: str) -> str:
    """The name of the run's staging table. It has a digest, since a run id may be long and hold any character."""
    return f"{contract.name}_staging_{digest(run_id, length=16)}"


def _read_parquet(files: Sequence[str]) -> Fragment:
    """The files as a table expression, with literals, since a bound parameter would make the client import pandas."""
    listed = joined([literal(file) for file in files])
    return Fragment(f"read_parquet([{listed}], hive_partitioning = false)")


def _sweep_unclaimed(session: LoadSession, own: str) -> None:
    """Drop staging tables that dead runs left. What cannot be dropped now is left to the next run."""
    pattern = rf"^{session.contract.name}_staging_[0-9a-f]{{16}}$"
    with session.transaction() as cursor:
        cursor.execute(
            render("load/list_stagings"),
            {"schema": session.contract.schema_name, "pattern": pattern, "comment": COMMENT},
        )
        names = [name for (name,) in cursor.fetchall() if name != own]
    for name in names:
        try:
            with session.transaction() as cursor:
                limit_lock_wait(cursor, DDL_WAIT_SECONDS)
                cursor.execute(render("load/take_over_staging"), {"lock": _claim(session, name)})
                if single_row(cursor) == (True,):
                    cursor.execute(render("load/drop_table", table=session.in_schema(name)))
                    log.info("Swept the staging table %s, which a dead run had left.", name)
        except CrmbetError as error:
            log.warning("The staging table %s of a dead run could not be swept yet. %s", name, error)


@contextmanager
def _claimed(session: LoadSession, name: str) -> Iterator[None]:
    """Claim a staging table until the block or the session ends.

    A try that Airflow gave up on may still live beside its retry. Raises `LockHeld` if it has not ended in time.
    """
    lock = _claim(session, name)
    with session.transaction() as cursor:
        limit_lock_wait(cursor, 1)
        try:
            session.take_lock(cursor, "load/claim_staging", lock, holder="another try of this run")
        except LockHeld as failure:
            log.warning("%s: this try waits up to %d s for it", failure.what, session.lock_timeout_seconds)
            limit_lock_wait(cursor, session.lock_timeout_seconds)
            session.take_lock(cursor, "load/claim_staging", lock, holder="another try of this run")
    try:
        yield
    finally:
        # A lost connection has given the claim up already.
        with suppress(CrmbetError), session.transaction() as cursor:
            cursor.execute(render("load/release_staging"), {"lock": lock})


def _claim(session: LoadSession, name: str) -> str:
    return f"crmbet.staging:{session.contract.schema_name}.{name}"


def _refuse_other_columns(session: LoadSession, engine: duckdb.DuckDBPyConnection, source: Fragment) -> None:
    with _engine_failures_explained(session):
        described = engine.execute(render("load/describe_files", source=source)).fetchall()
    actual = {str(row[0]): str(row[1]) for row in described}
    wanted = {name: ENGINE_TYPES[column.type] for name, column in session.contract.computed.items()}
    faults = [f"{name} is missing" for name in wanted if name not in actual]
    faults += [f"{name} is not in the contract" for name in actual if name not in wanted]
    faults += [
        f"{name} is {actual[name]}, not {type_}"
        for name, type_ in wanted.items()
        if actual.get(name, type_) != type_
    ]
    if faults:
        raise LoadRefused(
            f"the run's feature table does not have the contract's columns: {'; '.join(faults)}",
            where=session.where,
            why="the feature statements and include/contracts/ disagree",
            next_step=f"correct one of them, then {RECOMPUTE}",
        )


def _refuse_bad_rows(
    session: LoadSession, engine: duckdb.DuckDBPyConnection, source: Fragment, expected_rows: int
) -> None:
    contract = session.contract
    required = [name for name, column in contract.computed.items() if not column.nullable]
    statement = render(
        "load/count_faults",
        source=source,
        key=identifier(contract.key),
        null_counts=joined([Fragment(f"count(*) - count({identifier(name)})") for name in required]),
    )
    with _engine_failures_explained(session):
        rows, keys, *nulls = engine.execute(statement).fetchall()[0]
    without = dict(zip(required, nulls, strict=True))
    faults = [f"{count} rows have no {name}" for name, count in without.items() if count]
    repeated = rows - without[contract.key] - keys
    if repeated:
        faults.append(f"{repeated} rows repeat a {contract.key}")
    if rows != expected_rows:
        faults.append(f"it has {rows} rows where {expected_rows} were computed")
    if faults:
        raise LoadRefused(
            f"the run's feature table cannot be loaded: {'; '.join(faults)}",
            where=session.where,
            why="the feature statements gave wrong rows; the target was not touched",
            next_step=f"find the cause in the feature statements, then {RECOMPUTE}",
        )


def _create(session: LoadSession, name: str) -> None:
    staging = session.in_schema(name)
    definitions = [
        Fragment(f"{identifier(column)} {definition.staging_type}")
        for column, definition in session.contract.computed.items()
    ]
    with session.transaction() as cursor:
        cursor.execute(render("load/drop_table", table=staging))
        cursor.execute(
            render("load/create_staging", staging=staging, definitions=joined(definitions, ",\n    "))
        )
        comment = literal(f"{COMMENT}{session.run_id}. Safe to drop unless that run is loading.")
        cursor.execute(render("load/comment_table", table=staging, comment=comment))


def _fill(
    session: LoadSession, engine: duckdb.DuckDBPyConnection, dsn: str, name: str, source: Fragment
) -> None:
    import duckdb

    def copy(part: int) -> None:
        statement = render(
            "load/copy_to_staging",
            staging=identifier(ENGINE_ALIAS, session.contract.schema_name, name),
            columns=column_list(session.contract.computed),
            source=source,
            key=identifier(session.contract.key),
            parts=Fragment(str(PARALLEL_COPIES)),
            part=Fragment(str(part)),
        )
        with metering.in_postgres():
            ((rows,),) = engine.cursor().execute(statement).fetchall()
        metering.count_rows(written=rows)

    attach_postgres(engine, dsn, ENGINE_ALIAS, read_only=False, timeouts=session.timeouts)
    try:
        # The calling thread does all the work of a copy; the engine's other threads would only spin while they wait.
        engine.execute("SET threads = 1")
        with _engine_failures_explained(session), threads(PARALLEL_COPIES) as pool:
            list(pool.map(copy, range(PARALLEL_COPIES)))
    finally:
        # If a connection ends during the copy, the engine is unusable, and the error of DETACH would hide the real one.
        with suppress(duckdb.Error):
            engine.execute(f"DETACH {identifier(ENGINE_ALIAS)}")


def _analyze(session: LoadSession, name: str) -> None:
    columns = column_list([session.contract.key, "as_of", "row_hash"])
    with session.transaction() as cursor:
        cursor.execute(render("load/analyze_staging", staging=session.in_schema(name), columns=columns))


def _drop(session: LoadSession, name: str) -> None:
    with session.transaction() as cursor:
        cursor.execute(render("load/drop_table", table=session.in_schema(name)))


def _drop_quietly(session: LoadSession, name: str) -> None:
    """Drop the table after a failure. A failed drop is only logged: the person on call must see the first failure."""
    try:
        _drop(session, name)
    except CrmbetError as error:
        log.warning("The staging table %s was left behind; a retry of the run replaces it. %s", name, error)


@contextmanager
def _engine_failures_explained(session: LoadSession) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise explain_copy(
            error, what="the run's feature table", where=session.where, remake=RECOMPUTE
        ) from None
