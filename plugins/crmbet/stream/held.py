"""The rows of the last days that the stream holds in its engine, typed and without duplicates.

A batch changes them as cleaning would: by the same statements, so a held row is what a cleaned day would have. What is
held follows from the chunks alone, whatever batches they came in: the night's comparison fills it in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from crmbet.clean.records import UNDATED_DAY
from crmbet.clean.typed import typed_batch
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import cleaned_columns, typed_columns
from crmbet.databases.parquet import Located
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    identifier,
    instant_literal,
    joined,
    render,
    statement,
)
from crmbet.databases.work import Work
from crmbet.extract.records import UNDATED, Capture

DAYS_BEFORE = 2
"""Yesterday's sessions may have begun on the day before it."""
DAYS_AFTER = 1
"""A clock that is fast may be a day ahead of ours."""
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
    """Accepted rows by source. Players whose rows have changed are in the table `touched`."""

    work: Work
    contracts: Mapping[str, SourceContract]
    days: Sequence[date]
    affected: set[date] = field(default_factory=set)
    """Days of which a live row may have changed."""

    def create(self) -> None:
        """Make the empty tables."""
        connection = self.work.connection
        for name, contract in self.contracts.items():
            create = render("stream/create_held", held=held(name), columns=typed_columns(contract))
            connection.execute(create)
        connection.execute(statement("stream/create_unreadable"))
        connection.execute("CREATE TABLE touched (user_id VARCHAR)")

    def apply(self, source: str, captures: Sequence[Capture], files: Located) -> Applied:
        """Add the rows of some chunks of a source."""
        contract, connection = self.contracts[source], self.work.connection
        named = sorted({iso for capture in captures for iso in capture.days})
        days = [UNDATED_DAY if iso == UNDATED else date.fromisoformat(iso) for iso in named]
        with typed_batch(connection, contract, files, captures, days):
            connection.execute(statement("stream/create_fresh"))
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
        for name in [*(held(source) for source in self.contracts), identifier("unreadable_exclusions")]:
            forget = render("stream/forget_days", held=name, first=date_literal(min(days)))
            self.work.connection.execute(forget)
        self.days = days

    def touch(self, day: date) -> None:
        """Count the players with a row of a day as changed: the day has become today."""
        for source in self.contracts:
            rows = render("stream/touch_day", held=held(source), day=date_literal(day))
            self.work.connection.execute(rows)
        self.affected.add(day)

    def forget_touched(self) -> None:
        """Nothing has changed since now."""
        self.work.connection.execute("TRUNCATE touched")
        self.affected.clear()

    def _choose(self, source: str, contract: SourceContract) -> None:
        """Hold the good rows among `fresh`: of those with one business key and day, the one that cleaning chooses."""
        connection = self.work.connection
        days = joined([date_literal(day) for day in self.days])
        keys = [identifier(name) for name in contract.business_key]
        key = joined(keys)
        if contract.protecting_rows:
            event_time = identifier(str(contract.event_time))
            connection.execute(render("stream/insert_unreadable", days=days, event_time=event_time))
        connection.execute(render("stream/create_candidates", held=held(source), days=days, key=key))
        connection.execute(statement("stream/create_typed"))
        columns = joined([identifier(name) for name in contract.columns])
        known_at = instant_literal(NEVER)
        connection.execute(render("clean/rank_duplicates", key=key, columns=columns, known_at=known_at))
        accepted = render(
            "clean/select_accepted",
            columns=Fragment(f"{cleaned_columns(contract)}, _protection, _row, _source_key, _known"),
            known_at=known_at,
        )
        connection.execute(statement("stream/touch_players"))
        event_time = identifier(str(contract.event_time))
        affected = render("stream/list_affected", event_time=event_time)
        self.affected.update(day for (day,) in connection.execute(affected).fetchall())
        same_key = joined([Fragment(f"held.{name} = fresh.{name}") for name in keys], " AND ")
        connection.execute(render("stream/delete_replaced", held=held(source), same_key=same_key))
        connection.execute(render("stream/insert_accepted", held=held(source), accepted=Fragment(accepted)))
        connection.execute("DROP VIEW typed; DROP TABLE duplicates; DROP TABLE candidates; DROP TABLE fresh")


def held(source: str) -> Fragment:
    """The table of a source's held rows."""
    return identifier(f"held_{source}")


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
