"""The rows of the last days that the stream holds in its engine, typed and without duplicates.

A batch changes them as cleaning would: by the same statements, so a held row is what a cleaned day would have. What is
held follows from the chunks alone, whatever batches they came in: the night's comparison fills it in one go.

What a batch has changed is in tables of its own: the rows that came, the players of whom a row has gone, and the live
rows that may differ by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from crmbet.clean.records import UNDATED_DAY
from crmbet.clean.typed import typed_batch
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import cleaned_columns, typed_columns
from crmbet.databases.parquet import Located
from crmbet.databases.scratch import scratch_folder
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
from crmbet.extract.records import UNDATED, Capture

LIVE = ("bets", "transactions", "limits")
"""The sources that live rows are made of. Others are captured for the daily run, and nobody holds their rows."""
DAYS_BEFORE = 2
"""Yesterday's sessions may have begun on the day before it."""
DAYS_AFTER = 1
"""A clock that is fast may be a day ahead of ours."""
LAST_DAYS = "last_days"
"""The database of what is held."""
UNREADABLE = identifier(LAST_DAYS, "unreadable_exclusions")
ADDED_UNREADABLE = identifier("added_unreadable_exclusions")
CORRECTED = identifier("corrected")
"""The players of whom a held row has gone."""
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""What a message says of the time at which it was known decides between duplicates, and hides no row."""


@dataclass(frozen=True, kw_only=True)
class Poison:
    """A message that breaks its contract."""

    source: str
    topic: str
    partition: int
    offset: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a batch has done to the held rows of a source."""

    poison: list[Poison] = field(default_factory=list)
    late: int = 0
    """Rows of days that are not held: the daily run counts them."""


@dataclass(kw_only=True)
class HeldRows:
    """Accepted rows by source, and what has changed among them."""

    work: Work
    contracts: Mapping[str, SourceContract]
    days: Sequence[date]
    erased: ErasedPlayers = NOBODY

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Empty tables for the length of the `with` block.

        They are in a file of the spill directory, packed: a million bets need 35 MB of it, where 225 MB of memory would
        hold them. The engine keeps as much of it in memory as its limit allows.
        """
        with scratch_folder(self.work.run.settings) as folder:
            path = literal(str(folder / f"{LAST_DAYS}.duckdb"))
            self.work.connection.execute(render("stream/attach_last_days", path=path))
            self._create()
            yield
            self.work.connection.execute(statement("stream/detach_last_days"))

    def _create(self) -> None:
        connection = self.work.connection
        for name, contract in self.contracts.items():
            create = render("stream/create_held", held=held(name), columns=typed_columns(contract))
            connection.execute(create)
            connection.execute(render("stream/create_no_added", added=added(name), held=held(name)))
        for table in (UNREADABLE, ADDED_UNREADABLE):
            connection.execute(render("stream/create_unreadable", table=table))
        connection.execute(statement("stream/create_changes"))

    def apply(self, source: str, captures: Sequence[Capture], files: Located) -> Applied:
        """Add the rows of some chunks of a source."""
        contract, connection = self.contracts[source], self.work.connection
        named = sorted({iso for capture in captures for iso in capture.days})
        days = [UNDATED_DAY if iso == UNDATED else date.fromisoformat(iso) for iso in named]
        with typed_batch(connection, contract, files, captures, days, erased=self.erased):
            connection.execute(render("stream/create_fresh", key=_key(contract)))
        poison = [
            _poison(source, place, int(offset), str(reason))
            for place, offset, reason in connection.execute(statement("stream/select_poison")).fetchall()
        ]
        self._choose(source, contract)
        late = sum(
            count.rows
            for capture in captures
            for iso, count in capture.days.items()
            if iso != UNDATED and date.fromisoformat(iso) not in self.days
        )
        return Applied(poison=poison, late=late)

    def move_to(self, days: Sequence[date]) -> None:
        """Hold other days from now on, and forget the rows of days before them."""
        for name in [*(held(source) for source in self.contracts), UNREADABLE]:
            forget = render("stream/forget_days", held=name, first=date_literal(min(days)))
            self.work.connection.execute(forget)
        self.days = days

    def forget_added(self) -> None:
        """The parts have the rows that came, and those of the players of whom a row has gone."""
        for table in [*(added(source) for source in self.contracts), ADDED_UNREADABLE, CORRECTED]:
            self.work.connection.execute(f"TRUNCATE {table}")

    def forget_touched(self) -> None:
        """All live rows are written."""
        self.work.connection.execute("TRUNCATE touched")

    def _choose(self, source: str, contract: SourceContract) -> None:
        """Hold the good rows among `fresh`: of those with one business key and day, the one that cleaning chooses."""
        connection = self.work.connection
        days = joined([date_literal(day) for day in self.days])
        event_time = identifier(str(contract.event_time))
        if contract.protecting_rows:
            for table in (UNREADABLE, ADDED_UNREADABLE):
                connection.execute(
                    render("stream/insert_unreadable", table=table, days=days, event_time=event_time)
                )
            connection.execute(statement("stream/touch_unreadable"))
        connection.execute(render("stream/create_met", held=held(source), days=days))
        connection.execute(render("stream/create_typed", days=days))
        columns = joined([identifier(name) for name in contract.columns])
        known_at = instant_literal(NEVER)
        connection.execute(
            render("clean/rank_duplicates", key=_key(contract), columns=columns, known_at=known_at)
        )
        accepted = render(
            "clean/select_accepted",
            columns=Fragment(
                f"{cleaned_columns(contract)}, _protection, _row, _source_key, _known, _keyed, _held"
            ),
            known_at=known_at,
        )
        connection.execute(render("stream/create_added", added=added(source), accepted=Fragment(accepted)))
        (removed,) = connection.execute(statement("stream/create_removed")).fetchone() or (0,)
        connection.execute(render("stream/touch_changed", added=added(source), event_time=event_time))
        if removed:
            connection.execute(render("stream/delete_removed", held=held(source)))
            connection.execute(statement("stream/insert_corrected"))
        connection.execute(render("stream/insert_added", held=held(source), added=added(source)))
        connection.execute("DROP VIEW typed")
        for name in ("duplicates", "removed", "met", "fresh"):
            connection.execute(f"DROP TABLE {name}")


def _key(contract: SourceContract) -> Fragment:
    return joined([identifier(name) for name in contract.business_key])


def held(source: str) -> Fragment:
    """The table of a source's held rows."""
    return identifier(LAST_DAYS, f"held_{source}")


def added(source: str) -> Fragment:
    """The table of the rows of a source that have come since the parts were made."""
    return identifier(f"added_{source}")


def held_days(today: date) -> list[date]:
    """The days whose rows are held while a day lasts."""
    return [today + timedelta(days=offset) for offset in range(-DAYS_BEFORE, DAYS_AFTER + 1)]


def live_days(today: date) -> list[date]:
    """The days of live rows: yesterday and today."""
    return [today - timedelta(days=1), today]


def captures_of(captures: Iterable[Capture], days: Sequence[date]) -> list[Capture]:
    """The captures that have a row of one of some days."""
    wanted = {day.isoformat() for day in days}
    return [capture for capture in captures if not wanted.isdisjoint(capture.days)]


def _poison(source: str, place: str, offset: int, reason: str) -> Poison:
    topic, number, _ = place.split("/")
    return Poison(source=source, topic=topic, partition=int(number), offset=offset, reason=reason)
