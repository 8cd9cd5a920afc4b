"""Fills the operator's tbl_transactions, in batches, inserting only what is not there yet."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import numpy as np
import psycopg2

from local.simulator.dirt import DirtLedger, DirtRates, soil
from local.simulator.encoding import CSV_NO_ZONE, csv, render

if TYPE_CHECKING:
    from types import TracebackType

    from local.simulator.simulation import Batch
    from local.simulator.world import World

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS tbl_transactions (
    transaction_id UUID PRIMARY KEY,
    user_id VARCHAR(50) NOT NULL,
    amount DECIMAL(10,2) NOT NULL,
    transaction_type VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX IF NOT EXISTS tbl_transactions_created_at ON tbl_transactions USING brin (created_at);
CREATE TEMPORARY TABLE arriving (LIKE tbl_transactions);
"""
COPY_ARRIVING = "COPY arriving FROM STDIN (FORMAT csv)"
INSERT_NEW = "INSERT INTO tbl_transactions SELECT * FROM arriving ON CONFLICT (transaction_id) DO NOTHING"


def transaction_rows(world: World, batch: Batch, rates: DirtRates, ledger: DirtLedger) -> tuple[bytes, int]:
    """A batch's transactions with their dirt, as CSV without a header, and their number."""
    clean = batch.tables["transactions"]
    rng = world.stream("dirt:transactions", batch.shard, batch.day.day)
    alone = np.ones(clean.num_rows, bool)
    dirty = soil("transactions", clean, render(clean, CSV_NO_ZONE), alone, rates, rng, ledger)
    return csv(dirty, header=False), dirty.num_rows


class WalletWriter:
    """Copies rows into tbl_transactions, which it creates if it does not exist. Known ids are left alone.

    PostgreSQL loads one batch while the next is made.
    """

    ROWS_A_COPY = 50_000

    def __init__(self, url: str) -> None:
        self.inserted = 0
        self._waiting: list[bytes] = []
        self._rows = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wallet")
        self._copying: Future[int] | None = None
        self._connection = psycopg2.connect(url)
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(CREATE_TABLE)

    def write(self, rows: bytes, count: int) -> None:
        """Takes the rows of a batch. An earlier failure is raised here or at the end."""
        self._waiting.append(rows)
        self._rows += count
        if self._rows >= self.ROWS_A_COPY:
            self._send()

    def _send(self) -> None:
        self._settle()
        self._copying = self._pool.submit(self._copy, b"".join(self._waiting))
        self._waiting, self._rows = [], 0

    def _settle(self) -> None:
        """Waits for the batch under way, and raises its failure."""
        if self._copying is not None:
            self.inserted += self._copying.result()
            self._copying = None

    def _copy(self, rows: bytes) -> int:
        with self._connection, self._connection.cursor() as cursor:
            cursor.copy_expert(COPY_ARRIVING, io.BytesIO(rows))
            cursor.execute(INSERT_NEW)
            inserted: int = cursor.rowcount
            cursor.execute("TRUNCATE arriving")
        return inserted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._send()
                self._settle()
                with self._connection, self._connection.cursor() as cursor:
                    cursor.execute("ANALYZE tbl_transactions")
        finally:
            self._pool.shutdown(wait=True)
            self._connection.close()
