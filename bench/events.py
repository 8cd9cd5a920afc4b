"""Events of invented operators. The engine makes them (events.sql) and delivers them to lake and database."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psycopg2

from bench.workbench import Operator

if TYPE_CHECKING:
    import duckdb

MACROS = (Path(__file__).parent / "events.sql").read_text(encoding="utf-8")
FIRST_DAY = date(2025, 9, 1)
"""Day 0, which is also in events.sql."""

CREATE_TRANSACTIONS = """
CREATE TABLE tbl_transactions (
    transaction_id UUID PRIMARY KEY,
    user_id VARCHAR(50) NOT NULL,
    amount DECIMAL(10,2) NOT NULL,
    transaction_type VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX ON tbl_transactions USING brin (created_at);
"""


@dataclass(frozen=True, kw_only=True)
class Events:
    """How much happens at an operator, spread evenly over the days."""

    bets: int
    transactions: int
    players: int
    days: int

    def as_of(self, days: int | None = None) -> str:
        """The date whose midnight ends the first `days` days, all of them by default."""
        return (FIRST_DAY + timedelta(days=self.days if days is None else days)).isoformat()

    def bets_of(self, day: int) -> str:
        """Table expression of a day's bets."""
        return f"bets_of_day({day}, {_share(self.bets, day, self.days)}, {self.players}, {self.days})"

    def transactions_of(self, day: int) -> str:
        """Table expression of a day's transactions."""
        return (
            f"transactions_of_day({day}, {_share(self.transactions, day, self.days)}, "
            f"{_share(self.bets, day, self.days)}, {self.players}, {self.days})"
        )


def deliver_bets(
    operator: Operator,
    events: Events,
    days: Iterable[int],
    file_format: Literal["parquet", "csv"] = "parquet",
) -> None:
    """Write one object per day into the lake's feed of bets."""
    with operator.engine() as engine:
        engine.execute(MACROS)
        for day in days:
            key = f"raw/bets/dt={FIRST_DAY + timedelta(days=day)}/bets.{file_format}"
            _copy(engine, f"FROM {events.bets_of(day)}", operator, key, file_format)


def deliver_players(operator: Operator, events: Events) -> None:
    """Write a snapshot of the first day into the lake's feed of players."""
    with operator.engine() as engine:
        engine.execute(MACROS)
        rows = f"FROM listed_players({events.players}, {events.days})"
        _copy(engine, rows, operator, f"raw/players/dt={FIRST_DAY}/players.csv", "csv")


def deliver_transactions(operator: Operator, events: Events, days: Iterable[int]) -> None:
    """Insert rows into the source database's table, which is created if it does not exist."""
    with closing(psycopg2.connect(operator.source_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('tbl_transactions')")
            if cursor.fetchone() == (None,):
                cursor.execute(CREATE_TRANSACTIONS)
            with operator.source() as engine:
                engine.execute(MACROS)
                for day in days:
                    engine.execute(
                        f"INSERT INTO source.public.tbl_transactions FROM {events.transactions_of(day)}"
                    )
            # Otherwise the first reader would write the table once more, to note which rows are committed.
            cursor.execute("VACUUM ANALYZE tbl_transactions")
            cursor.execute("CHECKPOINT")


def _copy(
    engine: duckdb.DuckDBPyConnection, query: str, operator: Operator, key: str, file_format: str
) -> None:
    engine.execute(f"COPY ({query}) TO '{operator.store.url(key)}' (FORMAT {file_format})")


def _share(total: int, part: int, parts: int) -> int:
    """The share of one part in a total that is spread evenly."""
    return total * (part + 1) // parts - total * part // parts
