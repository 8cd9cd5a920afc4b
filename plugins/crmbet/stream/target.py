"""The stream's tables in PostgreSQL, and its transactions: what a batch is, and that it is done.

A batch is claimed before anything of it is written: from then on whoever reads the stream reads the same messages as
one batch. Its rows and the next offsets are committed together. Both statements find the offsets as they expect them,
or somebody else reads the stream too, and this one stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.failures import LockHeld
from crmbet.load.side_tables import grant_to_monitor
from crmbet.load.target import PROTECTED, column_list, find_readers
from crmbet.stream.figures import StreamFigures
from crmbet.stream.held import Poison
from crmbet.stream.live import COLUMNS
from crmbet.stream.now import ensure_now
from crmbet.stream.records import Chunk, Partition, Position

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

LIVE = "user_features_live"
STAGING = "user_features_live_staging"
OFFSETS = "stream_offsets"
QUARANTINE = "stream_quarantine"
MINUTES = "stream_minutes"
MINUTES_KEPT = timedelta(days=7)
KEY = ("user_id", "day")


@dataclass(frozen=True)
class StreamTables:
    """The tables of the stream, beside the feature table."""

    session: LoadSession = field(repr=False)

    @property
    def live(self) -> Fragment:
        """The table of live rows, quoted and qualified."""
        return self.session.in_schema(LIVE)

    @property
    def staging(self) -> Fragment:
        """The table that live rows of a batch are copied to, quoted and qualified."""
        return self.session.in_schema(STAGING)

    @property
    def offsets(self) -> Fragment:
        """The table of offsets, quoted and qualified."""
        return self.session.in_schema(OFFSETS)

    def create(self, zone: str) -> None:
        """Make the tables that are missing and the view, and let their readers read them. `zone` is the operator's.

        Raises `LoadRefused` if the feature table belongs to another brand.
        """
        tables = {
            LIVE: "create_live",
            STAGING: "create_staging",
            OFFSETS: "create_offsets",
            QUARANTINE: "create_quarantine",
            MINUTES: "create_minutes",
        }
        schema = self.session.contract.schema_name
        with self.session.transaction() as cursor:
            self.session.refuse_other_brand(cursor)
            cursor.execute(render("load/take_load_lock"), {"lock": f"crmbet.{schema}.stream"})
            cursor.execute(render("load/find_schema"), {"schema": schema})
            if cursor.fetchone() is None:
                cursor.execute(render("load/create_schema", schema=identifier(schema)))
            for name, create in tables.items():
                cursor.execute(render("load/find_table"), {"schema": schema, "table": name})
                if cursor.fetchone() is None:
                    table = self.session.in_schema(name)
                    cursor.execute(render(f"stream/{create}", table=table, live=self.live))
                    self._grant(cursor, name, table)
            ensure_now(cursor, self.session, self.live, zone)

    def begin(self, partitions: Mapping[Partition, int]) -> None:
        """Remember partitions that were never read, each with the offset to begin at."""
        with self.session.transaction() as cursor:
            for partition, first in partitions.items():
                cursor.execute(
                    render("stream/begin_partition", table=self.offsets),
                    {"topic": partition.topic, "partition": partition.number, "first": first},
                )

    def positions(self) -> dict[Partition, Position]:
        """How far each partition was read, of topics that are not read any more, too: their chunks still count.

        Nothing if there is no table yet.
        """
        with self.session.transaction() as cursor:
            cursor.execute(
                render("load/find_table"), {"schema": self.session.contract.schema_name, "table": OFFSETS}
            )
            if cursor.fetchone() is None:
                return {}
            cursor.execute(render("stream/read_offsets", table=self.offsets))
            return positions_of(cursor.fetchall())

    def claim(self, chunks: Iterable[Chunk]) -> None:
        """Say that these chunks are the batch that is read now. Raises `LockHeld` if somebody else reads the stream."""
        with self.session.transaction() as cursor:
            self._advance(cursor, "stream/claim_offsets", chunks)

    def commit(
        self, chunks: Sequence[Chunk], rows: Path, gone: Sequence[tuple[str, str]], poison: Sequence[Poison]
    ) -> None:
        """Write live rows, poison and the next offsets in one transaction. Raises `LockHeld` as `claim` does.

        `rows` is the file of live rows; `gone` names the players and days of those that are to go.
        """
        from psycopg2.extras import execute_values

        columns = column_list(COLUMNS)
        changing = [name for name in COLUMNS if name not in KEY]
        assignments = [Fragment(f"{identifier(name)} = excluded.{identifier(name)}") for name in changing]
        with self.session.transaction() as cursor:
            self._advance(cursor, "stream/commit_offsets", chunks)
            cursor.execute(render("stream/empty_staging", staging=self.staging))
            with rows.open("rb") as file:
                cursor.copy_expert(f"COPY {self.staging} ({columns}) FROM STDIN (FORMAT csv)", file)
            cursor.execute(
                render(
                    "stream/upsert_live",
                    table=self.live,
                    staging=self.staging,
                    columns=columns,
                    assignments=joined(assignments),
                    old=_of("live", changing),
                    new=_of("excluded", changing),
                )
            )
            if gone:
                execute_values(cursor, render("stream/delete_gone", table=self.live), gone)
            if poison:
                values = [
                    (each.source, each.topic, each.partition, each.offset, each.reason) for each in poison
                ]
                execute_values(
                    cursor,
                    render("stream/insert_poison", table=self.session.in_schema(QUARANTINE)),
                    values,
                    template="(%s, %s, %s, %s, %s, pg_catalog.now())",
                )

    def has_day(self, day: date) -> bool:
        """Whether there are live rows of a day."""
        with self.session.transaction() as cursor:
            cursor.execute(
                render("load/find_table"), {"schema": self.session.contract.schema_name, "table": LIVE}
            )
            if cursor.fetchone() is None:
                return False
            cursor.execute(render("stream/find_day", table=self.live), {"day": day})
            return cursor.fetchone() is not None

    def copy_day(self, day: date, path: Path) -> dict[Partition, Position]:
        """Copy the live rows of a day into a CSV file. Returns the positions that they belong to."""
        rows = render(
            "stream/copy_out_live",
            table=self.live,
            columns=column_list(COLUMNS),
            day=literal(day.isoformat()),
        )
        with self.session.transaction() as cursor, path.open("wb") as file:
            cursor.execute(render("stream/hold_commits_off", table=self.offsets))
            cursor.execute(render("stream/read_offsets", table=self.offsets))
            positions = positions_of(cursor.fetchall())
            cursor.execute("SET LOCAL TimeZone = 'UTC'")
            cursor.copy_expert(rows, file)
        return positions

    def tell(self, figures: StreamFigures, seen_at: datetime, away_seconds: float) -> None:
        """Add what a run has done since it told it last to the minute of `seen_at`.

        `away_seconds` is for how long Kafka has not answered.
        """
        told = {**asdict(figures.untold), "lag": figures.lag, "lag_seconds": figures.lag_seconds}
        now = {"away_seconds": away_seconds, "max_age_seconds": figures.max_age_seconds, "seen_at": seen_at}
        with self.session.transaction() as cursor:
            cursor.execute(render("stream/add_to_minute", table=self.session.in_schema(MINUTES)), told | now)

    def sweep_minutes(self, now: datetime) -> None:
        """Remove minutes that nobody looks at any more."""
        with self.session.transaction() as cursor:
            sweep = render("stream/sweep_minutes", table=self.session.in_schema(MINUTES))
            cursor.execute(sweep, {"before": now - MINUTES_KEPT})

    def sweep(self, yesterday: date, zone: str) -> int:
        """Remove rows of days before yesterday that the daily table has. Returns how many."""
        schema, name = self.session.contract.schema_name, self.session.contract.name
        with self.session.transaction() as cursor:
            cursor.execute(render("load/find_table"), {"schema": schema, "table": name})
            if cursor.fetchone() is None:
                return 0
            sweep = render("stream/sweep_live", live=self.live, features=self.session.table)
            cursor.execute(sweep, {"yesterday": yesterday, "zone": zone})
            return int(cursor.rowcount)

    def _advance(self, cursor: extensions.cursor, statement: str, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            cursor.execute(
                render(statement, table=self.offsets),
                {
                    "topic": chunk.partition.topic,
                    "partition": chunk.partition.number,
                    "first": chunk.first,
                    "until": chunk.until,
                },
            )
            if cursor.rowcount != 1:
                raise LockHeld(
                    "somebody else reads the stream, too",
                    where=f"{self.session.where}, topic {chunk.partition.topic}, partition {chunk.partition.number}",
                    why=f"the offsets of {chunk.name} are not where this run left them",
                    next_step="the task retries by itself, from where the other one is; if it goes on, end the other",
                )

    def _grant(self, cursor: extensions.cursor, name: str, table: Fragment) -> None:
        if name in (OFFSETS, QUARANTINE, MINUTES):
            grant_to_monitor(cursor, self.session.contract.schema_name, name)
        if name != LIVE:
            return
        for role, reads_all in find_readers(cursor, self.session.contract.schema_name).items():
            readable = [
                column
                for column in (*COLUMNS, "committed_at")
                if reads_all or not column.startswith(PROTECTED)
            ]
            cursor.execute(
                render(
                    "load/grant_columns", table=table, columns=column_list(readable), role=identifier(role)
                )
            )


def positions_of(rows: Iterable[tuple[str, int, int, int]]) -> dict[Partition, Position]:
    """Positions from rows of the table of offsets."""
    return {
        Partition(topic=topic, number=number): Position(next_offset=first, claimed_offset=until)
        for topic, number, first, until in rows
    }


def _of(table: str, names: Sequence[str]) -> Fragment:
    return joined([identifier(table, name) for name in names])
