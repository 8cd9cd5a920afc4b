"""The clean Arrow table of each feed, from a day's arrays.

Ids are text, money is decimal128(18, 2), instants are timestamp(us, UTC). Row order is that of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from local.simulator.archetypes import CHANNELS, DEVICES, GAMES, LIMIT_KINDS, TIMEZONES, TITLES_PER_GAME
from local.simulator.calendar import SECOND, OperatorDay
from local.simulator.play import STATUSES, TYPES, Bets, Sessions, Transactions, title_rtp
from local.simulator.population import NEVER, NO_LIMIT, Bools, Population, Standing

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from local.simulator.contact import Messages
    from local.simulator.protection import LimitChanges
    from local.simulator.segments import Ints

INSTANT = pa.timestamp("us", "UTC")
MONEY = pa.decimal128(18, 2)
TITLES = pa.array([f"{game.name}-{title:02d}" for game in GAMES for title in range(1, TITLES_PER_GAME + 1)])


def user_ids(population: Population) -> pa.StringArray:
    """The text id of every player of the shard."""
    return _numbered("u", population.shard.first_player + np.arange(len(population)), 7)


def bets_table(
    population: Population, day: OperatorDay, bets: Bets, sessions: Sessions, rng: np.random.Generator
) -> pa.Table:
    """One row per bet, ingested within seconds. Some lack game, device or rtp. Open bets have no payout."""
    n = len(bets.player)
    delay = (rng.exponential(20_000, n).astype(np.int64) + 300) * (SECOND // 1000)
    device = _from(DEVICES, sessions.device).take(pa.array(bets.session))
    known = rng.random((3, n)) >= 0.006
    return pa.table(
        {
            "bet_id": _event_ids("b", day.day, population.shard.index, n),
            "user_id": user_ids(population).take(pa.array(bets.player)),
            "placed_at": _instants(bets.placed_at),
            "game_type": _from([game.name for game in GAMES], bets.game),
            "stake": _money(bets.stake),
            "payout": _where(~bets.is_open, _money(bets.payout)),
            "session_id": _event_ids("s", day.day, population.shard.index, len(sessions.player)).take(
                pa.array(bets.session)
            ),
            "game_id": _where(known[0], TITLES.take(pa.array(bets.game * TITLES_PER_GAME + bets.title))),
            "device_type": _where(known[1], device),
            "rtp": _where(known[2], pa.array(np.round(title_rtp(bets.game, bets.title), 4))),
            "is_bonus": pa.array(bets.is_bonus),
            "balance_after": _money(bets.balance_after),
            "ingested_at": _instants(bets.placed_at + delay),
        }
    )


def sessions_table(population: Population, day: OperatorDay, sessions: Sessions) -> pa.Table:
    """One row per session, whether or not a bet was placed in it."""
    return pa.table(
        {
            "session_id": _event_ids("s", day.day, population.shard.index, len(sessions.player)),
            "user_id": user_ids(population).take(pa.array(sessions.player)),
            "started_at": _instants(sessions.started_at),
            "ended_at": _instants(sessions.ended_at),
            "device_type": _from(DEVICES, sessions.device),
        }
    )


def communications_table(population: Population, day: OperatorDay, messages: Messages) -> pa.Table:
    """One row per message."""
    return pa.table(
        {
            "message_id": _event_ids("m", day.day, population.shard.index, len(messages.player)),
            "user_id": user_ids(population).take(pa.array(messages.player)),
            "channel": _from(CHANNELS, messages.channel),
            "sent_at": _instants(messages.sent_at),
            "opened_at": _where(messages.opened, _instants(messages.opened_at)),
            "clicked_at": _where(messages.clicked, _instants(messages.clicked_at)),
        }
    )


def limits_table(population: Population, changes: LimitChanges) -> pa.Table:
    """One row per change of a limit. A session limit is in minutes, a self-exclusion in days, all else in BRL."""

    def value(amount: Ints) -> pa.Array:
        # Minutes and days are whole units; the money of the other kinds is in cents.
        return _where(
            amount != NO_LIMIT,
            _money(np.where(changes.kind >= LIMIT_KINDS.index("session"), amount * 100, amount)),
        )

    return pa.table(
        {
            "user_id": user_ids(population).take(pa.array(changes.player)),
            "changed_at": _instants(changes.changed_at),
            "kind": _from([*LIMIT_KINDS, "self_exclusion"], changes.kind),
            "old_value": value(changes.old_value),
            "new_value": value(changes.new_value),
        }
    )


def players_table(population: Population, standing: Standing, day: OperatorDay) -> pa.Table:
    """All players who registered by the end of `day`, with their state at that time."""
    registered = pa.array(np.flatnonzero(population.registered_at < day.end))
    birth = pa.array(population.birth_day.astype("datetime64[D]"), mask=population.birth_day == NEVER)
    excluded = standing.excluded_until
    return pa.table(
        {
            "user_id": user_ids(population),
            "registered_at": _instants(population.registered_at),
            "birth_date": birth,
            "timezone": _from([zone for zone, _ in TIMEZONES], population.timezone),
            "consents": _where(population.consent_known, _lists(population.consents)),
            "is_test": pa.array(population.is_test),
            "is_blocked": pa.array(population.barred & (population.last_day < day.number)),
            "self_excluded_until": _where(excluded > -NEVER, _instants(np.maximum(excluded, 0))),
            "prohibited": pa.array(population.prohibited),
        }
    ).take(registered)


def transactions_table(
    population: Population, transactions: Transactions, rng: np.random.Generator
) -> pa.Table:
    """The columns of tbl_transactions. created_at has no zone and is UTC."""
    return pa.table(
        {
            "transaction_id": _time_ordered_uuids(transactions.created_at, rng),
            "user_id": user_ids(population).take(pa.array(transactions.player)),
            "amount": _money(transactions.amount),
            "transaction_type": _from(TYPES, transactions.kind),
            "status": _from(STATUSES, transactions.status),
            "created_at": pa.array(transactions.created_at.view("datetime64[us]")),
        }
    )


def _numbered(prefix: str, numbers: Ints, width: int) -> pa.StringArray:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def _event_ids(letter: str, day: date, shard: int, n: int) -> pa.StringArray:
    return _numbered(f"{letter}{day:%Y%m%d}-{shard:02d}-", np.arange(n), 7)


def _from(
    names: tuple[str | None, ...] | list[str] | list[str | None] | tuple[str, ...], codes: Ints
) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(codes))


def _instants(microseconds: Ints) -> pa.Array:
    return pa.array(microseconds).cast(INSTANT)


def _money(cents: Ints) -> pa.Array:
    """decimal128(18, 2) of whole cents: the low words hold the value, the high ones its sign."""
    words = np.column_stack((cents, cents >> 63)).astype("<i8")
    return pa.Array.from_buffers(MONEY, len(cents), [None, pa.py_buffer(words.tobytes())])


def _where(known: Bools, values: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(known), values, pa.scalar(None, values.type))


def _lists(chosen: Bools) -> pa.ListArray:
    ends = np.concatenate(([0], np.cumsum(chosen.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), _from(CHANNELS, np.nonzero(chosen)[1]))


def _time_ordered_uuids(instants: Ints, rng: np.random.Generator) -> pa.StringArray:
    """Version 7 UUIDs (RFC 9562): milliseconds, then random bits; neighbours in time share index pages."""
    raw = rng.integers(0, 256, (len(instants), 16), dtype=np.uint8)
    raw[:, :6] = (instants // 1000).astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    raw[:, 6] = raw[:, 6] & 0x0F | 0x70
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = _HEX[raw].reshape(-1, 32)
    text = np.insert(text, [8, 12, 16, 20], ord("-"), axis=1)
    ends = np.arange(0, 36 * len(instants) + 1, 36, dtype=np.int32)
    return pa.StringArray.from_buffers(len(instants), pa.py_buffer(ends), pa.py_buffer(text.tobytes()))


_HEX: NDArray[np.uint8] = np.frombuffer(bytes(range(256)).hex().encode(), np.uint8).reshape(256, 2)
