"""The table `score_reasons` beside the target: what moves the scores that the target has, as of its newest load.

It has no history, since reasons are about today. A load of an older day leaves it alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from crmbet.contracts.files import load_reasons_contract
from crmbet.databases.postgres import single_row
from crmbet.databases.statements import Fragment, assignments, identifier, render
from crmbet.load.staging import staged
from crmbet.load.target import column_list, typed_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession
    from crmbet.load.staging import Staging


def reasons_table(session: LoadSession) -> Fragment:
    """The table, quoted and qualified."""
    return session.in_schema(load_reasons_contract().name)


@contextmanager
def staged_reasons(
    session: LoadSession, engine: duckdb.DuckDBPyConnection, dsn: str, files: Sequence[str], rows: int
) -> Iterator[Staging | None]:
    """Stage a run's reasons as `staged` stages its features; None if the run has no file of them."""
    if not files:
        yield None
        return
    contract = load_reasons_contract().model_copy(update={"schema_name": session.contract.schema_name})
    with staged(replace(session, contract=contract), engine, dsn, files, rows) as staging:
        yield staging


def write_reasons(cursor: extensions.cursor, session: LoadSession, staging: Staging) -> int:
    """Let the table say what is staged, within the transaction of the load. Returns the rows written or removed.

    Equal rows write nothing. If the target is of a later as_of than what is staged, nothing is written.
    """
    reasons = load_reasons_contract()
    tables = {"table": reasons_table(session), "staging": session.in_schema(staging.table)}
    cursor.execute(render("load/compare_newest", table=session.table, staging=tables["staging"]))
    if single_row(cursor) == (False,):
        return 0
    cursor.execute(render("load/delete_other_reasons", **tables))
    removed = cursor.rowcount
    written = [name for name in reasons.columns if name != reasons.key]
    cursor.execute(
        render(
            "load/upsert_reasons",
            **tables,
            key=identifier(reasons.key),
            columns=column_list(reasons.columns),
            staged_columns=typed_columns(reasons.columns, "staged"),
            assignments=assignments(written, "excluded"),
        )
    )
    return int(removed + cursor.rowcount)
