"""Writing the rows of lake objects as captured files on the local disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.instants import event_instant
from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb_failures import describe_file_error, is_lack_of_resources
from crmbet.databases.statements import Fragment, date_literal, literal, render
from crmbet.databases.zones import zone_shifts
from crmbet.extract.formats import Reading
from crmbet.run.run import Run

if TYPE_CHECKING:
    import duckdb


def place_rows(reading: Reading, key: str | None, contract: SourceContract, run: Run) -> str:
    """SELECT of a reading's rows with their operator days and the key of their object.

    Without a key, the rows of the reading have it already, as `_source_key`.
    """
    happened = event_instant(contract, reading.types)
    return render(
        "extract/place_rows",
        rows=Fragment(reading.query),
        source_key=Fragment("" if key is None else f"{literal(key)} AS _source_key,"),
        spelled=happened.spelled,
        event_time=happened.value,
        zone=literal(run.settings.operator_timezone),
        shifts=zone_shifts(run.settings.operator_timezone),
        earliest=date_literal(contract.earliest),
    )


def write_capture(connection: duckdb.DuckDBPyConnection, reading: Reading, query: str, written: Path) -> str:
    """Write the placed rows of a reading. Returns why they cannot be trusted, or an empty text if they can."""
    import duckdb

    copy = render("extract/copy_to_capture", rows=Fragment(query), url=literal(str(written)))
    try:
        (rows,) = connection.execute(copy).fetchone() or (0,)
    except duckdb.Error as error:
        if is_lack_of_resources(error):
            raise
        return describe_file_error(error, written.parent)
    if rows != reading.records:
        return f"it holds {reading.records} records, its parser gives {rows}"
    if reading.undecided is not None:
        undecided = connection.execute(
            render("extract/count_undecided", file=literal(str(written))), [reading.undecided]
        )
        (rows,) = undecided.fetchone() or (0,)
        if rows:
            return f"{rows} of its {reading.records} records cannot be told apart"
    return ""


MANY_DAYS = 30
"""A file of more days is sorted: it may be read more than once, for some of its days each time."""


def sort_by_day(connection: duckdb.DuckDBPyConnection, written: Path) -> Path:
    """Sort a file of many days by day. It is read once for each batch of days, which then skips the rest."""
    ordered = written.with_name("ordered.parquet")
    connection.execute(render("extract/sort_by_day", file=literal(str(written)), url=literal(str(ordered))))
    return ordered
