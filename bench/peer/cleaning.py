"""Turns typed files into clean frames: trimmed, canonical, before as_of, one row per key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from bench.peer.clock import Clock
from bench.peer.measures import UNITS

# fmt: off
GAMES = {
    "cassino": (
        "casino", "live casino", "live_casino", "cassino ao vivo", "roleta", "roulette", "blackjack", "bacara",
        "baccarat",
    ),
    "crash": ("aviator", "crash game"),
    "esportes": ("sports", "sport", "sportsbook", "esporte", "apostas esportivas"),
    "poker": ("pôquer", "poquer"),
    "slots": ("slot", "caça-níquel", "caca-niquel"),
}
"""In alphabetical order, so that the first of equals is the favourite."""
TRANSACTION_TYPES: Mapping[str, Sequence[str]] = dict.fromkeys(
    ("deposit", "withdrawal", "bet", "win", "bonus", "refund"), ()
)
STATUSES = {"completed": ("success", "approved", "confirmed"), "pending": (), "failed": (), "cancelled": ()}
CHANNELS = {
    "email": ("e-mail", "mail"), "sms": ("torpedo",), "push": ("push notification", "notificação", "notificacao"),
    "whatsapp": ("whats app", "zap", "wpp"), "telegram": (), "phone": ("telefone", "call", "ligação", "ligacao"),
}
BLANKS = " \t\n\r\xa0"
BET_COLUMNS = [
    "bet_id", "user_id", "placed_at", "game_type", "stake", "payout", "session_id", "game_id", "device_type", "rtp",
    "is_bonus", "balance_after", "ingested_at",
]
"""Columns that a feature needs, and columns that can send a row to quarantine."""
CLEAN_BET_COLUMNS = [
    "bet_id", "user_id", "placed_at", "game_type", "stake", "payout", "game_id", "device_type", "rtp", "is_bonus",
    "balance_after", "age", "hour_of_week",
]
# fmt: on


def clean_bets(path: Path, clock: Clock, *, keep: bool) -> pd.DataFrame:
    """Good bets before as_of, one per key and day. Money is in whole units; the payout of an open bet is missing."""
    categoricals = ["user_id", "game_type", "device_type", "game_id"]
    bets = _read(path, None if keep else BET_COLUMNS, categoricals)
    bets["bet_id"] = bets["bet_id"].str.strip(BLANKS)
    bets["user_id"] = _trim(bets["user_id"], longest=50)
    bets["game_type"] = _canonical(bets["game_type"], GAMES)
    good = bets["bet_id"].str.len().between(1, 100) & bets["user_id"].notna() & bets["game_type"].notna()
    good &= (bets["placed_at"] >= pd.Timestamp(2000, 1, 1)) & (bets["placed_at"] < clock.as_of)
    good &= bets["stake"].between(0, 1e7) & (bets["payout"].between(0, 1e9) | bets["payout"].isna())
    good &= ~(bets["session_id"].str.len() > 100)
    for name, longest in {"game_id": 100, "device_type": 50}.items():
        trimmed = bets[name].cat.categories.str.strip(BLANKS)
        good &= ~bets[name].isin(bets[name].cat.categories[trimmed.str.len() > longest])
        bets[name] = _recode(bets[name], trimmed.where(trimmed.str.len() > 0))
    good &= ~(bets["ingested_at"] > clock.known_at)
    needed = [name for name in BET_COLUMNS if name != "session_id"]
    bets = bets.loc[good] if keep else bets.loc[good, needed]
    local = clock.local(bets["placed_at"])
    bets["age"] = clock.age(local)
    bets["hour_of_week"] = (local.dt.day_of_week * 24 + local.dt.hour).astype("int16")
    bets = _newest_of_each(bets, ["bet_id", "age"], "ingested_at")
    bets["rtp"] = bets["rtp"].where(bets["rtp"].between(0, 1))
    if keep:
        bets.to_parquet(path.with_name("cleaned_bets.parquet"), index=False)
    bets["stake"] = (bets["stake"] * UNITS).round().astype("int64")
    # Doubles hold such whole numbers exactly, and unlike integers they can be missing.
    bets["payout"] = (bets["payout"] * UNITS).round()
    bets["balance_after"] = (bets["balance_after"] * UNITS).round()
    bets["is_bonus"] = bets["is_bonus"].astype("boolean")
    return bets[CLEAN_BET_COLUMNS]


def clean_transactions(path: Path, clock: Clock, *, keep: bool) -> pd.DataFrame:
    """Good transactions before as_of, one per key and day."""
    rows = _read(path, None, ["user_id", "transaction_type", "status"])
    rows["transaction_id"] = rows["transaction_id"].str.strip(BLANKS)
    rows["user_id"] = _trim(rows["user_id"], longest=50)
    rows["transaction_type"] = _canonical(rows["transaction_type"], TRANSACTION_TYPES)
    rows["status"] = _canonical(rows["status"], STATUSES)
    good = rows["transaction_id"].str.len().between(1, 36) & rows["user_id"].notna()
    good &= rows["transaction_type"].notna() & rows["status"].notna()
    good &= (rows["created_at"] >= pd.Timestamp(1990, 1, 1)) & (rows["created_at"] < clock.as_of)
    good &= (rows["amount"] > 0) & (rows["amount"] <= 99999999.99)
    rows = rows[good]
    rows["age"] = clock.age(clock.local(rows["created_at"]))
    rows = _newest_of_each(rows, ["transaction_id", "age"], "created_at")
    if keep:
        rows.to_parquet(path.with_name("cleaned_transactions.parquet"), index=False)
    rows["cents"] = (rows["amount"] * 100).round().astype("int64")
    return rows[["user_id", "transaction_type", "status", "cents", "created_at", "age"]]


def clean_players(path: Path, clock: Clock) -> pd.DataFrame:
    """Players who had registered by as_of, with the age of the registration and the shift of the player's clock."""
    players = pd.read_parquet(path)
    players["user_id"] = players["user_id"].str.strip(BLANKS)
    players = players[players["user_id"].str.len().between(1, 50)].drop_duplicates("user_id", keep="last")
    players = players[~(players["registered_at"] >= clock.as_of)]
    shifts = {zone: clock.shift(zone) for zone in players["timezone"].dropna().unique()}
    consents = {text: _channels(text) for text in players["consents"].dropna().unique()}
    flags = {name: players[name].astype("boolean") for name in ("is_test", "is_blocked", "prohibited")}
    return pd.DataFrame(
        {
            "user_id": players["user_id"].astype("category"),
            "registered_age": clock.age(clock.local(players["registered_at"]).dropna()),
            "hour_shift": players["timezone"].map(shifts).fillna(0),
            "birth_date": pd.to_datetime(players["birth_date"]),
            "canais_permitidos": players["consents"].map(consents).astype(object),
            "self_excluded_until": players["self_excluded_until"],
            **flags,
            "listed": True,
        }
    )


def number_alike(*frames: pd.DataFrame) -> pd.Index:
    """Give the players the same categories in all frames. Returns the categories in order."""
    users = pd.Index([], dtype="str")
    for frame in frames:
        users = users.union(frame["user_id"].cat.categories)
    for frame in frames:
        frame["user_id"] = frame["user_id"].cat.set_categories(users)
    return users


def _read(path: Path, columns: Sequence[str] | None, categoricals: Sequence[str]) -> pd.DataFrame:
    table = pq.read_table(path, columns=columns, read_dictionary=list(categoricals))
    # Columns are converted to pandas one by one, and each is freed when it is converted.
    return table.unify_dictionaries().to_pandas(split_blocks=True, self_destruct=True)


def _trim(names: pd.Series, *, longest: int) -> pd.Series:
    """Trim names. A name is missing if it is empty or too long."""
    trimmed = names.cat.categories.str.strip(BLANKS)
    return _recode(names, trimmed.where((trimmed.str.len() > 0) & (trimmed.str.len() <= longest)))


def _canonical(spelled: pd.Series, values: Mapping[str, Sequence[str]]) -> pd.Series:
    """Map spellings to canonical values. Any other value is missing."""
    canonical = spelled.cat.categories.str.strip(BLANKS).str.lower().map(_spellings(values))
    return _recode(spelled, canonical).cat.set_categories(list(values))


def _spellings(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {spelling: name for name, synonyms in values.items() for spelling in (name, *synonyms)}


def _channels(text: str) -> list[str]:
    known = _spellings(CHANNELS)
    names = {known.get(item.strip().lower()) for item in re.split("[,;|]", text)}
    return sorted(name for name in names if name)


def _recode(column: pd.Series, values: pd.Index) -> pd.Series:
    """A categorical with new names for its categories. Several categories may get the same name."""
    codes, categories = pd.factorize(values)
    # A missing value has the code -1, which is the last place of this list.
    recoded = np.append(codes, -1).astype("int32")[column.cat.codes.to_numpy()]
    return pd.Series(pd.Categorical.from_codes(recoded, categories), index=column.index)


def _newest_of_each(rows: pd.DataFrame, key: list[str], newest: str) -> pd.DataFrame:
    """Keep one row per key. Only keys with several rows are sorted."""
    repeated = rows.duplicated(key, keep=False)
    if not repeated.any():
        return rows
    standing = rows[repeated].sort_values(newest, na_position="first", kind="stable")
    dropped = standing.index[standing.duplicated(key, keep="last")]
    return rows.drop(index=dropped)
