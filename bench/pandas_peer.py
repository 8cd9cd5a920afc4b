"""The feature table once more, by pandas: what a careful analyst would write who has all rows in memory.

`python -m bench.pandas_peer <folder> <as_of> <known_at> <zone> <threads> [keep]` reads typed Parquet (`bets.parquet`,
`transactions.parquet`, `players.parquet`) and writes `features.parquet`, one row a player. Instants are ISO, UTC.

It is tuned: only columns that a feature or a rule of cleaning needs are read, players and enums are categoricals from
the file on, money is whole numbers, text is never a Python object, and each theme groups its rows once. It answers from
scratch for one as_of: unlike the pipeline it keeps neither cleaned rows nor state nor a quarantine. With `keep` it
reads all columns and writes the cleaned rows, a file a source.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.apart import Stopwatch, report

Array = np.ndarray[Any, Any]

GAMES = {
    "cassino": (
        *(
            "casino",
            "live casino",
            "live_casino",
            "cassino ao vivo",
            "roleta",
            "roulette",
            "blackjack",
            "bacara",
        ),
        "baccarat",
    ),
    "crash": ("aviator", "crash game"),
    "esportes": ("sports", "sport", "sportsbook", "esporte", "apostas esportivas"),
    "poker": ("pôquer", "poquer"),
    "slots": ("slot", "caça-níquel", "caca-niquel"),
}
"""Alphabetical, so that the first of equals is the favourite."""
TRANSACTION_TYPES: Mapping[str, Sequence[str]] = dict.fromkeys(
    ("deposit", "withdrawal", "bet", "win", "bonus", "refund"), ()
)
STATUSES = {"completed": ("success", "approved", "confirmed"), "pending": (), "failed": (), "cancelled": ()}
SLOTS = np.array(["madrugada", "manha", "tarde", "noite"], dtype=object)
# fmt: off
SEGMENTS = {
    44: "champions", 43: "loyal", 34: "loyal", 33: "loyal", 42: "potential_loyalist", 32: "potential_loyalist",
    41: "new_customers", 31: "promising", 24: "at_risk", 13: "at_risk", 23: "need_attention", 22: "about_to_sleep",
    21: "about_to_sleep", 14: "cant_lose_them", 12: "hibernating", 11: "lost",
}
# fmt: on
"""By ten times recency, and the mean of frequency and money."""
TICKET_LOW_CENTS, TICKET_HIGH_CENTS = 50_00, 500_00
BLANKS = " \t\n\r\xa0"
WEEK_HOURS = 7 * 24
# fmt: off
BET_COLUMNS = [
    "bet_id", "user_id", "placed_at", "game_type", "stake", "payout", "session_id", "game_id", "device_type",
    "ingested_at",
]
# fmt: on
"""Those that a feature needs, and those that can send a row into quarantine."""


@dataclass(frozen=True)
class Clock:
    """The instant that the table is about, and the operator's wall clock. Instants are naive UTC."""

    as_of: pd.Timestamp
    known_at: pd.Timestamp
    zone: str

    @property
    def last_day(self) -> pd.Timestamp:
        """The last day before as_of."""
        before = (self.as_of - pd.Timedelta(microseconds=1)).tz_localize("UTC")
        return before.tz_convert(self.zone).tz_localize(None).normalize()

    def local(self, instants: pd.Series) -> pd.Series:
        """The operator's wall clock at some instants."""
        return instants.dt.tz_localize("UTC").dt.tz_convert(self.zone).dt.tz_localize(None)

    def age(self, local: pd.Series) -> pd.Series:
        """Days from the last day back to the days of a wall clock's readings."""
        return (self.last_day - local.dt.normalize()).dt.days.astype("int16")

    def shift(self, zone: str) -> int:
        """Whole hours from the operator's wall clock to that of a zone at as_of; 0 where there is no such zone."""
        now = self.as_of.tz_localize("UTC")
        try:
            theirs = now.tz_convert(zone).tz_localize(None)
        except KeyError:
            return 0
        return int((theirs - now.tz_convert(self.zone).tz_localize(None)) // pd.Timedelta(hours=1))


def compute(folder: Path, clock: Clock, stopwatch: Stopwatch, *, keep: bool) -> pd.DataFrame:
    """The feature table of the rows in a folder."""
    with stopwatch.step("clean"):
        bets = clean_bets(folder / "bets.parquet", clock, keep=keep)
        transactions = clean_transactions(folder / "transactions.parquet", clock, keep=keep)
        players = clean_players(folder / "players.parquet", clock)
        users = _number_alike(bets, transactions, players)
    with stopwatch.step("features"):
        players = players.set_index("user_id").reindex(users)
        bet_days = _distinct_days(bets)
        payment_days = _distinct_days(transactions)
        first_age = pd.concat([_by_user(bet_days).max(), _by_user(payment_days).max()], axis=1).max(axis=1)
        tenure = players["registered_age"].fillna(first_age)
        recent = bets[bets["age"] < 90]
        features = pd.concat(
            [
                _games(recent),
                _visits(bets[bets["age"] < 31], clock),
                _hours(recent, players["hour_shift"].fillna(0)),
                _rhythm(bet_days[bet_days["age"] < 180]),
                _money(transactions, tenure),
                _depositors(transactions),
            ],
            axis=1,
        )
        entropies = features[["game_entropy", "weekday_entropy", "slot_entropy"]]
        features["behavioral_diversity_score"] = real6(entropies.mean(axis=1))
        features = features.drop(columns=entropies.columns)
        # A category is there for every spelling of a source, also of rows that were not clean.
        return features[first_age.notna() | players["listed"].notna()].rename_axis("user_id").reset_index()


def clean_bets(path: Path, clock: Clock, *, keep: bool) -> pd.DataFrame:
    """Good bets before as_of, one a key and day."""
    bets = _read(path, None if keep else BET_COLUMNS, ["user_id", "game_type", "device_type"])
    bets["bet_id"] = bets["bet_id"].str.strip(BLANKS)
    bets["user_id"] = _trim_names(bets["user_id"])
    bets["game_type"] = _canonical(bets["game_type"], GAMES)
    good = bets["bet_id"].str.len().between(1, 100) & bets["user_id"].notna() & bets["game_type"].notna()
    good &= (bets["placed_at"] >= pd.Timestamp(2000, 1, 1)) & (bets["placed_at"] < clock.as_of)
    good &= bets["stake"].between(0, 1e7) & (bets["payout"].between(0, 1e9) | bets["payout"].isna())
    for name, longest in {"session_id": 100, "game_id": 100}.items():
        good &= ~(bets[name].str.len() > longest)
    good &= ~(
        bets["device_type"].isin([name for name in bets["device_type"].cat.categories if len(name) > 50])
    )
    good &= ~(bets["ingested_at"] > clock.known_at)
    needed = ["bet_id", "user_id", "placed_at", "game_type", "stake", "ingested_at"]
    bets = bets.loc[good] if keep else bets.loc[good, needed]
    local = clock.local(bets["placed_at"])
    bets["age"] = clock.age(local)
    bets["hour_of_week"] = (local.dt.day_of_week * 24 + local.dt.hour).astype("int16")
    bets = _newest_of_each(bets, ["bet_id", "age"], "ingested_at")
    if keep:
        bets.to_parquet(path.with_name("cleaned_bets.parquet"), index=False)
    # Ten-thousandths: sums of whole numbers are exact.
    bets["stake"] = (bets["stake"] * 1e4).round().astype("int64")
    return bets[["user_id", "placed_at", "game_type", "stake", "age", "hour_of_week"]]


def clean_transactions(path: Path, clock: Clock, *, keep: bool) -> pd.DataFrame:
    """Good transactions before as_of, one a key and day."""
    rows = _read(path, None, ["user_id", "transaction_type", "status"])
    rows["transaction_id"] = rows["transaction_id"].str.strip(BLANKS)
    rows["user_id"] = _trim_names(rows["user_id"])
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
    return rows[["user_id", "transaction_type", "status", "cents", "age"]]


def clean_players(path: Path, clock: Clock) -> pd.DataFrame:
    """Players who had registered by as_of: age of the registration in days, hours to the player's wall clock."""
    players = pd.read_parquet(path, columns=["user_id", "registered_at", "timezone"])
    players["user_id"] = players["user_id"].str.strip(BLANKS)
    players = players[players["user_id"].str.len().between(1, 50)].drop_duplicates("user_id", keep="last")
    players = players[~(players["registered_at"] >= clock.as_of)]
    shifts = {zone: clock.shift(zone) for zone in players["timezone"].dropna().unique()}
    return pd.DataFrame(
        {
            "user_id": players["user_id"].astype("category"),
            "registered_age": clock.age(clock.local(players["registered_at"]).dropna()),
            "hour_shift": players["timezone"].map(shifts).fillna(0),
            "listed": True,
        }
    )


def _read(path: Path, columns: Sequence[str] | None, categoricals: Sequence[str]) -> pd.DataFrame:
    table = pq.read_table(path, columns=columns, read_dictionary=list(categoricals))
    # Column by column into pandas, each freed on its way.
    return table.unify_dictionaries().to_pandas(split_blocks=True, self_destruct=True)


def _trim_names(names: pd.Series) -> pd.Series:
    """Players' names trimmed; missing where nothing is left, or more than fits."""
    trimmed = names.cat.categories.str.strip(BLANKS)
    return _recode(names, trimmed.where((trimmed.str.len() > 0) & (trimmed.str.len() <= 50)))


def _canonical(spelled: pd.Series, values: Mapping[str, Sequence[str]]) -> pd.Series:
    """Canonical values for their spellings; missing for any other."""
    known = {spelling: name for name, synonyms in values.items() for spelling in (name, *synonyms)}
    canonical = spelled.cat.categories.str.strip(BLANKS).str.lower().map(known)
    return _recode(spelled, canonical).cat.set_categories(list(values))


def _recode(column: pd.Series, values: pd.Index) -> pd.Series:
    """A categorical whose categories are called otherwise now, several alike perhaps."""
    codes, categories = pd.factorize(values)
    # A missing value has the code -1, which is the last place of this list.
    recoded = np.append(codes, -1).astype("int32")[column.cat.codes.to_numpy()]
    return pd.Series(pd.Categorical.from_codes(recoded, categories), index=column.index)


def _newest_of_each(rows: pd.DataFrame, key: list[str], newest: str) -> pd.DataFrame:
    """One row a key. Only keys that come more than once are sorted."""
    repeated = rows.duplicated(key, keep=False)
    if not repeated.any():
        return rows
    standing = rows[repeated].sort_values(newest, na_position="first", kind="stable")
    dropped = standing.index[standing.duplicated(key, keep="last")]
    return rows.drop(index=dropped)


def _number_alike(*frames: pd.DataFrame) -> pd.Index:
    """Give the players the same categories in all frames; returns them in order."""
    users = pd.Index([], dtype="str")
    for frame in frames:
        users = users.union(frame["user_id"].cat.categories)
    for frame in frames:
        frame["user_id"] = frame["user_id"].cat.set_categories(users)
    return users


def _distinct_days(rows: pd.DataFrame) -> pd.DataFrame:
    """The days of each player's events, newest first."""
    return rows[["user_id", "age"]].drop_duplicates().sort_values(["user_id", "age"])


def _by_user(days: pd.DataFrame) -> Any:
    return days.groupby("user_id", observed=False)["age"]


def _games(bets: pd.DataFrame) -> pd.DataFrame:
    """Favourite game, spread over games, spread of stakes."""
    # The definition's weights have twelve decimals: in two halves of six, the sums stay whole numbers.
    weight = np.rint(np.round(0.5 ** (np.arange(90) / 30), 12) * 1e12).astype("int64")
    high, low = np.divmod(weight, 10**6)
    stake, age = bets["stake"].to_numpy(), bets["age"].to_numpy()
    sums = (
        bets[["user_id", "game_type", "stake"]]
        .assign(one=1, square=stake.astype("float64") ** 2, high=stake * high[age], low=stake * low[age])
        .groupby(["user_id", "game_type"], observed=False)
        .sum()
        .unstack("game_type")
    )
    low_sum = sums["low"].to_numpy()
    high_sum = sums["high"].to_numpy() + low_sum // 10**6
    # The favourite has the largest sum of both halves; where the upper halves are alike, the lower ones decide.
    rest = np.where(high_sum == high_sum.max(axis=1, keepdims=True), low_sum % 10**6, -1)
    favourite = np.array(list(GAMES), dtype=object)[rest.argmax(axis=1)]
    staked = (high_sum > 0).any(axis=1) | (low_sum > 0).any(axis=1)
    entropy = normalised_entropy(sums["one"].to_numpy(), 5)
    n, s, q = (sums[name].sum(axis=1).to_numpy().astype("float64") for name in ("one", "stake", "square"))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.maximum(0, n * q - s * s) / (n * (n - 1))) / (s / n)
    return pd.DataFrame(
        {
            "favorite_game_type": np.where(staked, favourite, None),
            "game_entropy": entropy,
            "game_diversity_score": real6(entropy),
            "bet_volatility": real6(np.where((n >= 3) & (s > 0), spread, np.nan)),
        },
        index=sums.index,
    )


def _visits(bets: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    """Sessions of the last 30 days. The bets are those of one day more, since a session may run past midnight."""
    placed = bets[["user_id", "placed_at"]].sort_values(["user_id", "placed_at"])
    # A day of sessions begins at 06:00 on the operator's clock.
    block = (clock.local(placed["placed_at"]) - pd.Timedelta(hours=6)).dt.normalize()
    user, at = placed["user_id"].cat.codes, placed["placed_at"]
    breaks = (user != user.shift()) | (block != block.shift()) | (at - at.shift() > pd.Timedelta(minutes=30))
    starts = np.flatnonzero(breaks)
    ends = np.append(starts[1:], len(placed))[: len(starts)] - 1
    sessions = pd.DataFrame(
        {
            "user_id": placed["user_id"].array[starts],
            "age": clock.age(clock.local(at.iloc[starts])).to_numpy(),
            "length": at.to_numpy()[ends].astype("int64") - at.to_numpy()[starts].astype("int64"),
        }
    )
    by_user = sessions[sessions["age"] < 30].groupby("user_id", observed=False)["length"]
    found = by_user.agg(["size", "sum", "max"])
    with np.errstate(invalid="ignore"):
        average = found["sum"] / found["size"] / 60e6
    return pd.DataFrame(
        {
            "sessions_30d": found["size"].astype("int32"),
            "session_minutes_avg_30d": real6(average),
            "session_minutes_max_30d": real6(found["max"] / 60e6),
        }
    )


def _hours(bets: pd.DataFrame, shift: pd.Series) -> pd.DataFrame:
    """Weekdays and parts of the day on the player's own clock."""
    user = bets["user_id"].cat.codes.to_numpy()
    hour = (bets["hour_of_week"].to_numpy() + shift.to_numpy("int16")[user]) % WEEK_HOURS
    counts = (
        pd.DataFrame(
            {"user_id": bets["user_id"].array, "weekday": hour // 24, "slot": hour % 24 // 6, "bets": 1}
        )
        .groupby(["user_id", "weekday", "slot"], observed=True)["bets"]
        .sum()
    )
    weekdays = counts.groupby(level=["user_id", "weekday"], observed=True).sum().unstack(fill_value=0)
    slots = counts.groupby(level=["user_id", "slot"], observed=True).sum().unstack(fill_value=0)
    by_weekday = weekdays.reindex(columns=range(7), fill_value=0).to_numpy()
    by_slot = slots.reindex(columns=range(4), fill_value=0).to_numpy()
    # The lower weekday comes first among equals, as a stable order of what is left from the largest.
    busiest = np.argsort(-by_weekday, axis=1, kind="stable")[:, :3]
    played = np.take_along_axis(by_weekday, busiest, axis=1) > 0
    busiest = np.sort(np.where(played, busiest, 9), axis=1)
    digits = busiest.astype("U1").astype(object)
    preferred = digits[:, 0]
    for place in (1, 2):
        preferred = np.where(busiest[:, place] < 9, preferred + "," + digits[:, place], preferred)
    return pd.DataFrame(
        {
            "dias_semana_preferidos": preferred,
            "horarios_atividade": SLOTS[by_slot.argmax(axis=1)],
            "weekend_activity_ratio": real6(by_weekday[:, 5:].sum(axis=1) / by_weekday.sum(axis=1)),
            "weekday_entropy": normalised_entropy(by_weekday, 7),
            "slot_entropy": normalised_entropy(by_slot, 4),
        },
        index=weekdays.index,
    )


def _rhythm(days: pd.DataFrame) -> pd.DataFrame:
    """Regularity of the gaps between bet days."""
    user = days["user_id"].cat.codes
    gap = days["age"].diff().astype("float64").where(user == user.shift())
    sums = (
        pd.DataFrame({"user_id": days["user_id"], "n": gap.notna(), "s": gap, "q": gap * gap})
        .groupby("user_id", observed=False)
        .sum()
    )
    n, s, q = (sums[name].to_numpy("float64") for name in ("n", "s", "q"))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.sqrt(n * q - s * s) / s
        burstiness = (np.sqrt(n + 1) * r - np.sqrt(n - 1)) / ((np.sqrt(n + 1) - 2) * r + np.sqrt(n - 1))
    regularity = real6(np.where(n >= 3, (1 - burstiness) / 2, np.nan))
    return pd.DataFrame({"activity_regularity": regularity}, index=sums.index)


def _money(transactions: pd.DataFrame, tenure: pd.Series) -> pd.DataFrame:
    """What a player pays in and takes out."""
    completed = transactions[transactions["status"] == "completed"]
    sums = (
        completed.assign(recent=completed["age"] < 90, one=1)
        .groupby(["user_id", "transaction_type", "recent"], observed=False)[["one", "cents"]]
        .sum()
        .unstack(["transaction_type", "recent"])
        .reindex(tenure.index, fill_value=0)
    )
    lately = sums["one"].xs(True, axis=1, level="recent").sum(axis=1)
    deposited = sums["cents"]["deposit"].sum(axis=1)
    withdrawn = sums["cents"]["withdrawal"].sum(axis=1)
    deposits_90d, cents_90d = sums["one"]["deposit"][True], sums["cents"]["deposit"][True]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.minimum(1000, (deposited / 100) / (withdrawn / 100))
        # Half away from zero, in whole cents.
        ticket = ((2 * cents_90d + deposits_90d) // (2 * deposits_90d)).where(deposits_90d > 0)
    category = pd.Series("alto", index=ticket.index).mask(ticket < TICKET_HIGH_CENTS, "medio")
    category = category.mask(ticket < TICKET_LOW_CENTS, "baixo").where(ticket.notna())
    return pd.DataFrame(
        {
            # Whoever has no tenure has no transaction either.
            "frequencia_jogo": real6(lately / tenure.fillna(1).clip(1, 90)),
            "total_transactions": sums["one"].sum(axis=1).astype("int32"),
            "balance_ratio": np.select(
                [withdrawn > 0, deposited > 0], [real6(ratio), np.full(len(ratio), 1000.0)], default=np.nan
            ),
            "ticket_medio_categoria": category,
        }
    )


def _depositors(transactions: pd.DataFrame) -> pd.DataFrame:
    """Recency, frequency and money."""
    is_deposit = (transactions["status"] == "completed") & (transactions["transaction_type"] == "deposit")
    days = (
        transactions.loc[is_deposit, ["user_id", "age", "cents"]]
        .groupby(["user_id", "age"], observed=True)["cents"]
        .sum()
        .reset_index()
    )
    recent = days["age"] < 90
    days["recent"], days["recent_cents"] = recent, days["cents"].where(recent, 0)
    by_user = days.groupby("user_id", observed=False)
    last = by_user["age"].min()
    sums = by_user[["recent", "recent_cents"]].sum()
    depositor = last.notna()
    scores = {
        "recency_score": _quarters(-last[depositor]),
        "frequency_score": _quarters(sums["recent"][depositor]),
        "monetary_score": _quarters(sums["recent_cents"][depositor]),
    }
    recency, frequency, money = scores.values()
    segment = (10 * recency + (frequency + money + 1) // 2).map(SEGMENTS)
    return pd.DataFrame(
        {
            **{name: score.reindex(last.index) for name, score in scores.items()},
            "rfm_segment": segment.reindex(last.index).fillna("prospect"),
        }
    )


def _quarters(values: pd.Series) -> pd.Series:
    """Score 1 (worst) to 4 by how many are strictly worse."""
    worse = values.rank(method="min").astype("int64") - 1
    return (1 + 4 * worse // len(values)).clip(upper=4)


def normalised_entropy(counts: Array, kinds: int) -> Array:
    """Entropy of each row's counts over that of `kinds` equal ones; missing for a row of zeros."""
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, counts / total * np.log(total / counts), 0)
    return np.where(total[:, 0] > 0, terms.sum(axis=1) / np.log(kinds), np.nan)


def real6(values: Any) -> Any:
    """Six decimals, half away from zero (numpy rounds half to even), no negative zero."""
    return np.sign(values) * np.floor(np.abs(values) * 1e6 + 0.5) / 1e6 + 0.0


def main() -> None:
    """Compute the table of a folder in this process, and say how long it took."""
    folder, as_of, known_at, zone, threads, *extras = sys.argv[1:]
    pa.set_cpu_count(int(threads))
    stopwatch = Stopwatch()
    clock = Clock(pd.Timestamp(as_of), pd.Timestamp(known_at), zone)
    features = compute(Path(folder), clock, stopwatch, keep="keep" in extras)
    with stopwatch.step("write"):
        features.to_parquet(Path(folder) / "features.parquet", index=False)
    report(stopwatch, users=len(features))


if __name__ == "__main__":
    main()
