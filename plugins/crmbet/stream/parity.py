"""Compares the live rows of a day with what its chunks say when they are read again, all at once.

The stream came to these rows batch by batch. If both are equal in every cell, it has lost nothing, counted nothing
twice, and depended on no order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path

from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.source import SourceContract
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, date_literal, identifier, joined, literal, render
from crmbet.databases.work import Work
from crmbet.features.variables import bind_variables
from crmbet.load.target import column_list
from crmbet.run.records import Record
from crmbet.stream.held import HeldRows
from crmbet.stream.live import COLUMNS, TYPES, read_markers, write_live
from crmbet.stream.parts import Parts
from crmbet.stream.streaming import committed_captures, fill
from crmbet.stream.target import KEY, StreamTables

EXAMPLES = 5


class Parity(Record):
    """What came of a comparison: `compare_stream.json`."""

    day: date
    rows: int
    """Rows of either side."""
    differing: dict[str, int]
    """Column to the number of rows in which it differs. A row that one side lacks differs in all columns."""
    examples: list[str]
    """The first players whose rows differ."""

    @property
    def is_equal(self) -> bool:
        """Whether no cell differs."""
        return not self.differing


def compare_live(
    work: Work,
    tables: StreamTables,
    streamed: Iterable[str],
    sources: Mapping[str, SourceContract],
    day: date,
    *,
    erased: ErasedPlayers = NOBODY,
) -> Parity:
    """Compare the live rows of a day, as they are committed now, with a rebuild from the chunks that led to them.

    `streamed` names the sources that the stream reads; `sources` are the contracts of all.
    """
    bind_variables(work.connection, work.run)
    with scratch_folder(work.run.settings) as folder:
        live, rebuilt = folder / "live.csv", folder / "rebuilt.csv"
        captures = committed_captures(work, streamed, tables.copy_day(day, live))
        contracts = {name: sources[name] for name in captures}
        # A session of the day may begin on the day before it and end on the day after it.
        days = [day + timedelta(days=offset) for offset in (-1, 0, 1)]
        rows = HeldRows(work=work, contracts=contracts, days=days, erased=erased)
        parts = Parts(rows=rows, sources=sources)
        with parts.opened():
            fill(parts, captures)
            write_live(parts, read_markers(work.store, work.run, [day]), rebuilt)
        return _compare(work, day, live, rebuilt)


def _compare(work: Work, day: date, live: Path, rebuilt: Path) -> Parity:
    compared = [name for name in COLUMNS if name not in KEY]
    query = render(
        "stream/compare_live",
        live=_csv(live),
        rebuilt=_csv(rebuilt),
        day=date_literal(day),
        differences=joined(
            [
                Fragment(
                    f"count(*) FILTER (live.user_id IS NULL OR rebuilt.user_id IS NULL "
                    f"OR live.{identifier(name)} IS DISTINCT FROM rebuilt.{identifier(name)})"
                )
                for name in compared
            ]
        ),
        live_cells=Fragment(f"({column_list(compared, 'live.')})"),
        rebuilt_cells=Fragment(f"({column_list(compared, 'rebuilt.')})"),
        examples=Fragment(str(EXAMPLES)),
    )
    rows, examples, *counts = work.connection.execute(query).fetchone() or (0, None)
    return Parity(
        day=day,
        rows=rows,
        differing={name: count for name, count in zip(compared, counts, strict=True) if count},
        examples=examples or [],
    )


def _csv(path: Path) -> Fragment:
    types = ", ".join(f"{literal(name)}: {literal(TYPES[name])}" for name in COLUMNS)
    return Fragment(f"read_csv({literal(str(path))}, header = false, columns = {{{types}}}, nullstr = '')")
