"""The rows of some days, typed and judged: what cleaning and the raw gate look at.

Rows are looked over first, and judged only if something in them is odd (crmbet.contracts.plain). Both ways give the
same, but judging takes several times as long, and a tenth of a second even for a single row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from crmbet.clean.records import UNDATED_DAY
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.plain import looked_over_rows, may_be_plain
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import known_time, no_captured_rows, typed_rows
from crmbet.databases.parquet import Located
from crmbet.databases.statements import Fragment, date_literal, identifier, joined, literal, render
from crmbet.extract.captured import captured_rows
from crmbet.extract.listing import format_of
from crmbet.extract.records import Capture

if TYPE_CHECKING:
    import duckdb


PLAYER = "user_id"
"""The column of a source that says whose row it is."""


@contextmanager
def typed_batch(
    connection: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    files: Located,
    captures: Sequence[Capture],
    days: Iterable[date],
    *,
    erased: ErasedPlayers = NOBODY,
) -> Iterator[Mapping[date, int]]:
    """Make the view `typed` of the rows of some days, duplicates and faulty ones included.

    It has the columns of `typed_rows`, and `_id`, a number for each row. All rows of a current-state feed are of the
    one day that is given.

    Rows of erased players are left out. Yields how many there were, by day.
    """
    wanted = sorted(days)
    snapshot = date_literal(wanted[0]) if wanted else Fragment("NULL::DATE")
    day = Fragment("_day") if contract.event_time else snapshot
    batch = _Batch(connection, contract, wanted)
    filled = [capture for capture in captures if capture.files]
    try:
        for doubtful, alike in _by_types(filled):
            rows, types = captured_rows(files, alike), alike[0].types
            if alike[0].streamed:
                # Nobody reads a topic again for a column that its contract got later: there it is NULL.
                rows = Fragment(f"(FROM {rows} UNION ALL BY NAME FROM {no_captured_rows(contract)})")
            if may_be_plain(contract, types) and not doubtful:
                batch.look_over(rows, types, day)
            else:
                batch.judge(rows, types, day, doubtful_ids=doubtful)
        if not filled:
            batch.look_over(no_captured_rows(contract), {}, day)
        left_out = batch.leave_out(erased) if erased else {}
        connection.execute(render("clean/create_typed", rows=batch.rows()))
        yield left_out
    finally:
        connection.execute("DROP VIEW IF EXISTS typed")
        batch.drop()


@dataclass
class _Batch:
    """Tables with the rows of some days: rows that were looked over, and rows that were judged."""

    connection: duckdb.DuckDBPyConnection
    contract: SourceContract
    days: Sequence[date]
    """In order."""
    looked_over: list[Fragment] = field(default_factory=list)
    judged: list[Fragment] = field(default_factory=list)

    def look_over(self, rows: Fragment, types: Mapping[str, str], day: Fragment) -> None:
        """Hold rows as plain values, and judge the odd ones among them."""
        table = Fragment(f"looked_over_{len(self.looked_over)}")
        self.looked_over.append(table)
        looked_over = looked_over_rows(self.contract, rows, types, day)
        self._hold("clean/look_over_batch", table, looked_over, among_days(Fragment("_placed"), self.days))
        count = render("clean/count_odd", looked_over=table)
        odd, others = self.connection.execute(count).fetchone() or (0, 0)
        if odd:
            cells = Fragment(f"({render('clean/select_odd_cells', looked_over=table)})")
            self.judge(cells, types, Fragment("_placed"))
            if not others:
                self.connection.execute(f"DROP TABLE {self.looked_over.pop()}")

    def judge(
        self, rows: Fragment, types: Mapping[str, str], day: Fragment, *, doubtful_ids: bool = False
    ) -> None:
        """Hold rows as they are judged. Doubtful ids may be numbers that an earlier release spelled."""
        table = Fragment(f"judged_{len(self.judged)}")
        self.judged.append(table)
        typed = typed_rows(self.contract, rows, types, day, doubtful_ids=doubtful_ids)
        self._hold("clean/judge_batch", table, typed, among_days(Fragment("_day"), self.days))

    def leave_out(self, erased: ErasedPlayers) -> Mapping[date, int]:
        """Forget the rows of erased players; returns how many there were, by day. Faulty rows name them as captured."""
        if PLAYER not in self.contract.columns:
            return {}
        erased.prepare(self.connection)
        counted: Counter[date] = Counter()
        player, day = identifier(PLAYER), Fragment("coalesce(_placed, DATE '0001-01-01')")
        of_record = Fragment(f"json_extract_string(_raw, {literal(f'$.{PLAYER}')})")
        for table, ids, is_read, placed in (
            *((table, [player], "NOT _odd AND", day) for table in self.looked_over),
            *((table, [player, of_record], "", Fragment("_day")) for table in self.judged),
        ):
            condition = Fragment(f"{is_read} ({erased.look_up(self.connection, table, ids)})")
            drop = render("erasure/drop_erased_rows", table=table, condition=condition, day=placed)
            counted.update(placed for (placed,) in self.connection.execute(drop).fetchall())
        return counted

    def rows(self) -> Fragment:
        """SELECT of all rows with their numbers."""
        parts = Fragment(str(len(self.looked_over) + len(self.judged)))
        columns = joined([identifier(name) for name in self.contract.columns])
        known = known_time(self.contract)
        selects = [
            render("clean/select_plain_rows", looked_over=table, columns=columns, known=known, number=number)
            for number, table in _numbered(self.looked_over, parts, first=0)
        ] + [
            render("clean/select_judged_rows", judged=table, number=number)
            for number, table in _numbered(self.judged, parts, first=len(self.looked_over))
        ]
        return Fragment("\nUNION ALL BY NAME\n".join(selects))

    def drop(self) -> None:
        """Forget the rows."""
        for table in (*self.looked_over, *self.judged):
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")

    def _hold(self, statement: str, table: Fragment, rows: str, wanted: Fragment) -> None:
        self.connection.execute(render(statement, table=table, rows=Fragment(rows), wanted=wanted))


def among_days(column: Fragment, days: Sequence[date]) -> Fragment:
    """The condition that a column has one of some days, in order. An undated row has none, or `UNDATED_DAY`.

    It has a range for days in a row: of a file in order of its days, the engine reads that range alone.
    """
    conditions = [Fragment(f"{column} IS NULL")] if UNDATED_DAY in days else []
    first = 0
    for place, day in enumerate(days, 1):
        if place == len(days) or days[place] - day > timedelta(days=1):
            range_ = f"{date_literal(days[first])} AND {date_literal(day)}"
            conditions.append(Fragment(f"{column} BETWEEN {range_}"))
            first = place
    return Fragment(f"({joined(conditions, ' OR ') or 'false'})")


def _numbered(tables: Sequence[Fragment], parts: Fragment, *, first: int) -> list[tuple[Fragment, Fragment]]:
    """With each table, an expression that numbers its rows as no row of another table."""
    return [(Fragment(f"rowid * {parts} + {first + place}"), table) for place, table in enumerate(tables)]


def _by_types(captures: Sequence[Capture]) -> list[tuple[bool, list[Capture]]]:
    """Group captures by the types of their columns: the engine reads all files of a scan as the types of the first.

    With each group, whether its ids may be numbers that an earlier release spelled.
    """
    alike: dict[tuple[bool, frozenset[tuple[str, str]]], list[Capture]] = {}
    for capture in captures:
        kind = (has_doubtful_ids(capture), frozenset(capture.types.items()))
        alike.setdefault(kind, []).append(capture)
    return [(doubtful, group) for (doubtful, _), group in alike.items()]


def has_doubtful_ids(capture: Capture) -> bool:
    """Whether an earlier release captured it from a format in which an id can be a number.

    Days of PostgreSQL are captured again instead.
    """
    return not capture.exact_ids and capture.part is None and format_of(capture.chunk) in ("parquet", "json")
