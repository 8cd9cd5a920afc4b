"""Fills the lake and tbl_transactions in one pass over a world, and counts what it put there."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.simulator.dirt import DirtLedger, DirtRates
from local.simulator.lake import LakeWriter, lake_files
from local.simulator.simulation import simulate
from local.simulator.wallet import WalletWriter, transaction_rows

if TYPE_CHECKING:
    from local.simulator.world import World


@dataclass
class Delivery:
    """Rows by feed of the whole world, dirt and duplicates included, and what this pass had to write."""

    rows: Counter[str] = field(default_factory=Counter)
    dirt: DirtLedger = field(default_factory=DirtLedger)
    objects_written: int = 0
    objects_kept: int = 0
    bytes_written: int = 0
    transactions_inserted: int = 0
    seconds: float = 0.0

    @property
    def events(self) -> int:
        """All rows but the players' snapshots."""
        return self.rows.total() - self.rows["players"]

    def as_dict(self) -> dict[str, Any]:
        """All counts, for JSON."""
        return {
            "rows": dict(sorted(self.rows.items())),
            "events": self.events,
            "objects_written": self.objects_written,
            "objects_kept": self.objects_kept,
            "bytes_written": self.bytes_written,
            "transactions_inserted": self.transactions_inserted,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events / self.seconds) if self.seconds else None,
            "dirt": self.dirt.as_dict(),
        }


def deliver(
    world: World, *, bucket: str, source_url: str, rates: DirtRates | None = None, broken: bool = False
) -> Delivery:
    """Writes every day of `world`. Objects and transactions that exist already are left alone.

    The AWS_ environment variables say how to reach `bucket`. `source_url` is a libpq URL.
    """
    rates = rates or DirtRates()
    delivery = Delivery()
    began = time.perf_counter()
    with LakeWriter(bucket) as lake, WalletWriter(source_url) as wallet:
        for batch in simulate(world):
            for file in lake_files(world, batch, rates, broken=broken):
                lake.write(file)
                delivery.rows[file.feed] += file.rows
                delivery.dirt.add(file.dirt)
            rows, count = transaction_rows(world, batch, rates, delivery.dirt)
            wallet.write(rows, count)
            delivery.rows["transactions"] += count
    delivery.objects_written, delivery.objects_kept = lake.written, lake.kept
    delivery.bytes_written, delivery.transactions_inserted = lake.bytes_written, wallet.inserted
    delivery.seconds = time.perf_counter() - began
    return delivery
