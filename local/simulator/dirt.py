"""The dirt of real feeds, planted at known shares and recorded.

A blemish overwrites one cell of a row, and a row gets at most one. Which values a file can hold decides which
blemishes it gets: a Parquet decimal has no room for the text "ten". Each blemish says what a correct pipeline
makes of the row, so that a test can ask for exactly the rows in the ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Outcome = Literal["quarantined", "deduplicated", "accepted", "nulled", "unread"]
"""accepted: trimmed or mapped; nulled: the row stays without the cell; unread: dated after every as_of."""


@dataclass(frozen=True)
class DirtRates:
    """Share of a file's rows by kind of dirt, where the file's types can hold it.

    The defaults sum to well under 1% of quarantined rows and under 1% of duplicates. `ceiling` caps either in
    every single file, so that small days stay inside a pipeline's tolerances too; a file of few rows gets
    none at all.
    """

    user_id_missing: float = 0.0008
    user_id_too_long: float = 0.0003
    user_id_padded: float = 0.003
    enum_synonym: float = 0.05
    enum_unknown: float = 0.0004
    money_negative: float = 0.0003
    money_zero: float = 0.0003
    money_unparsable: float = 0.0004
    money_nan: float = 0.0002
    time_unparsable: float = 0.0004
    time_future: float = 0.0002
    time_before_2000: float = 0.0001
    ended_before_started: float = 0.0008
    rtp_out_of_range: float = 0.002
    timezone_unknown: float = 0.002
    duplicate_equal: float = 0.002
    duplicate_reingested: float = 0.002
    ceiling: float = 0.008


BROKEN = replace(DirtRates(), user_id_missing=0.30, duplicate_equal=0.20, ceiling=1.0)
"""Rates for the last day's bets of a world that must fail its raw checks."""


@dataclass(frozen=True)
class Blemish:
    """Overwrites `column` by one of `values`, in which {} stands for the clean value.

    `where` restricts it to rows whose clean value is that one; `rate` names a field of DirtRates.
    """

    kind: str
    rate: str
    column: str
    values: tuple[str | None, ...]
    outcome: Outcome = "quarantined"
    where: str | None = None


def _synonyms(column: str, **spellings: tuple[str, ...]) -> list[Blemish]:
    return [
        Blemish(f"{column}_synonym", "enum_synonym", column, values, "accepted", where=name)
        for name, values in spellings.items()
    ]


_USER = [
    Blemish("user_id_missing", "user_id_missing", "user_id", (None, "", "   ")),
    Blemish("user_id_padded", "user_id_padded", "user_id", (" {}", "{}  "), "accepted"),
    Blemish("user_id_too_long", "user_id_too_long", "user_id", ("{}" + "0" * 51,)),
]


def _times(column: str) -> list[Blemish]:
    return [
        Blemish(f"{column}_unparsable", "time_unparsable", column, ("yesterday", "2026-13-45T25:61:00Z")),
        Blemish(f"{column}_future", "time_future", column, ("2099-12-31T23:59:59Z",), "unread"),
        Blemish(
            f"{column}_before_2000",
            "time_before_2000",
            column,
            ("1999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"),
        ),
    ]


BLEMISHES: dict[str, list[Blemish]] = {
    "bets": [
        *_USER,
        *_times("placed_at"),
        *_synonyms(
            "game_type",
            cassino=("casino", "Cassino", "live casino", "roleta", "blackjack"),
            esportes=("sports", "sportsbook", "Esportes "),
            crash=("CRASH", " Crash"),
            poker=("Poker",),
            slots=("Slots", "SLOTS "),
        ),
        Blemish("game_type_unknown", "enum_unknown", "game_type", ("bingo", "???")),
        Blemish("stake_negative", "money_negative", "stake", ("-5.00", "-120.50")),
        Blemish("stake_unparsable", "money_unparsable", "stake", ("ten", "1O.00", "R$ --")),
        Blemish("stake_nan", "money_nan", "stake", ("NaN",)),
        Blemish("payout_negative", "money_negative", "payout", ("-1.00",)),
        Blemish("rtp_out_of_range", "rtp_out_of_range", "rtp", ("1.7", "-0.2", "96.5"), "nulled"),
    ],
    "sessions": [
        *_USER,
        *_times("started_at"),
        Blemish("ended_before_started", "ended_before_started", "ended_at", ("2001-01-01T00:00:00Z",)),
    ],
    "communications": [
        *_USER,
        *_times("sent_at"),
        *_synonyms(
            "channel", email=("EMAIL", " Email"), sms=("SMS",), whatsapp=("WhatsApp",), push=("Push ",)
        ),
        Blemish("channel_unknown", "enum_unknown", "channel", ("fax", "carrier pigeon")),
    ],
    "players": [
        *_USER,
        Blemish(
            "timezone_unknown",
            "timezone_unknown",
            "timezone",
            ("America/Sao_Paolo", "Mars/Olympus"),
            "nulled",
        ),
    ],
    "limits": [
        *_USER,
        *_times("changed_at"),
        Blemish("kind_unknown", "enum_unknown", "kind", ("mood",)),
    ],
    "transactions": [
        Blemish("user_id_missing", "user_id_missing", "user_id", ("   ",)),
        Blemish("user_id_padded", "user_id_padded", "user_id", (" {}", "{}  "), "accepted"),
        *_synonyms(
            "transaction_type", deposit=("Deposit", " DEPOSIT "), withdrawal=("Withdrawal",), bet=("BET",)
        ),
        Blemish("transaction_type_unknown", "enum_unknown", "transaction_type", ("chargeback?",)),
        *_synonyms(
            "status", completed=("success", "Approved", " confirmed ", "COMPLETED"), failed=("Failed",)
        ),
        Blemish("status_unknown", "enum_unknown", "status", ("on hold?",)),
        Blemish("amount_zero", "money_zero", "amount", ("0.00",)),
        Blemish("amount_negative", "money_negative", "amount", ("-25.00",)),
        Blemish("amount_nan", "money_nan", "amount", ("NaN",)),
        Blemish("created_at_future", "time_future", "created_at", ("2099-12-31 23:59:59",), "unread"),
        Blemish("created_at_before_2000", "time_before_2000", "created_at", ("1970-01-01 00:00:00",)),
    ],
}


class DirtLedger:
    """How many rows of each feed carry each kind of dirt, and what should become of them."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, str, Outcome]] = Counter()

    def record(self, feed: str, kind: str, outcome: Outcome, rows: int) -> None:
        """Adds rows of one kind of dirt."""
        if rows:
            self.rows[feed, kind, outcome] += rows

    def add(self, other: DirtLedger) -> None:
        """Adds all that another ledger holds."""
        self.rows.update(other.rows)

    def total(self, feed: str, outcome: Outcome) -> int:
        """Rows of a feed that should have this outcome."""
        return sum(rows for (of, _, ends), rows in self.rows.items() if (of, ends) == (feed, outcome))

    def as_dict(self) -> dict[str, dict[str, dict[str, int | str]]]:
        """{feed: {kind: {"outcome": ..., "rows": ...}}}, sorted, for JSON."""
        feeds: dict[str, dict[str, dict[str, int | str]]] = {}
        for (feed, kind, outcome), rows in sorted(self.rows.items()):
            feeds.setdefault(feed, {})[kind] = {"outcome": outcome, "rows": rows}
        return feeds


def duplicate(
    feed: str, table: pa.Table, rates: DirtRates, rng: np.random.Generator, ledger: DirtLedger
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Appends copies of some rows, equal or (with an ingested_at) ingested ten minutes later.

    Returns the longer table and which of its rows have no twin: only those may be blemished.
    """
    n = table.num_rows
    luck = rng.random(n)
    twins = np.flatnonzero(luck < rates.duplicate_equal + rates.duplicate_reingested)
    if "ingested_at" not in table.column_names:
        twins = twins[luck[twins] < rates.duplicate_equal]
    twins = twins[: int(rates.ceiling * n)]
    later = luck[twins] >= rates.duplicate_equal
    copies = table.take(pa.array(twins))
    if later.any():
        times = copies["ingested_at"].combine_chunks()
        shifted = pc.if_else(pa.array(later), pc.add(times, pa.scalar(timedelta(minutes=10))), times)
        copies = copies.set_column(
            table.column_names.index("ingested_at"), "ingested_at", shifted.cast(times.type)
        )
    ledger.record(feed, "duplicate_equal", "deduplicated", int((~later).sum()))
    ledger.record(feed, "duplicate_reingested", "deduplicated", int(later.sum()))
    alone = np.ones(n + len(twins), bool)
    alone[twins] = False
    alone[n:] = False
    return pa.concat_tables([table, copies]).combine_chunks(), alone


def soil(
    feed: str,
    clean: pa.Table,
    rendered: pa.Table,
    alone: NDArray[np.bool_],
    rates: DirtRates,
    rng: np.random.Generator,
    ledger: DirtLedger,
) -> pa.Table:
    """Plants blemishes on some rows of `rendered`, which are those of `clean` in a file's own types.

    Only rows that are `alone` get one.
    """
    n = rendered.num_rows
    blemishes = [b for b in BLEMISHES[feed] if _fits(b, rendered.schema.field(b.column).type)]
    taken = ~alone
    spoiled = 0
    for blemish in blemishes:
        hit = ~taken & (rng.random(n) < getattr(rates, blemish.rate))
        if blemish.where is not None:
            hit &= pc.equal(clean[blemish.column], blemish.where).to_numpy()
        rows = np.flatnonzero(hit)
        if blemish.outcome in ("quarantined", "unread"):
            rows = rows[: max(0, int(rates.ceiling * n) - spoiled)]
            spoiled += len(rows)
        if len(rows):
            taken[rows] = True
            rendered = _overwrite(rendered, blemish, rows)
            ledger.record(feed, blemish.kind, blemish.outcome, len(rows))
    return rendered


def _overwrite(table: pa.Table, blemish: Blemish, rows: NDArray[np.int64]) -> pa.Table:
    column = table[blemish.column].combine_chunks()
    clean: Iterable[Any] = column.take(pa.array(rows)).to_pylist()
    texts = (blemish.values[row % len(blemish.values)] for row in rows)
    values = [
        text if text is None else _typed(text.format(value) if "{}" in text else text, column.type)
        for text, value in zip(texts, clean, strict=True)
    ]
    mask = np.zeros(table.num_rows, bool)
    mask[rows] = True
    dirty = pc.replace_with_mask(column, pa.array(mask), pa.array(values, column.type))
    return table.set_column(table.column_names.index(blemish.column), blemish.column, dirty)


def _fits(blemish: Blemish, kind: pa.DataType) -> bool:
    """Whether a column of this type can hold every value of the blemish."""
    try:
        for text in blemish.values:
            value = text if text is None else _typed(text, kind)
            if isinstance(value, Decimal) and not value.is_finite():
                return False
    except (ValueError, InvalidOperation):
        return False
    return True


def _typed(text: str, kind: pa.DataType) -> str | float | Decimal | datetime:
    if pa.types.is_decimal(kind):
        return Decimal(text)
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(text)
    return text
