"""Compute the table of a folder in this process, and say how long each theme took.

`python -m bench.peer <folder> <as_of> <known_at> <zone> <threads> [keep]` reads typed Parquet (`bets.parquet`,
`transactions.parquet`, `players.parquet`) and writes `features.parquet`, one row per player. Instants are ISO, UTC.
With `keep` it reads all columns and writes the cleaned rows, one file per source.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bench.apart import Stopwatch, report
from bench.peer import daily, payments, play, protection, times
from bench.peer.cleaning import clean_bets, clean_players, clean_transactions, number_alike
from bench.peer.clock import Clock
from bench.peer.measures import real6
from crmbet.run.settings import Settings

ENTROPIES = ["game_entropy", "weekday_entropy", "slot_entropy"]


def compute(folder: Path, clock: Clock, stopwatch: Stopwatch, *, keep: bool) -> pd.DataFrame:
    """The feature table of the rows in a folder, under the default settings."""
    settings = Settings(lake_bucket="none")
    with stopwatch.step("clean"):
        bets = clean_bets(folder / "bets.parquet", clock, keep=keep)
        transactions = clean_transactions(folder / "transactions.parquet", clock, keep=keep)
        listed = clean_players(folder / "players.parquet", clock)
        users = number_alike(bets, transactions, listed)
    with stopwatch.step("days"):
        bet_days = daily.lifetime_days(bets)
        bets = bets[bets["age"] < 90]
        days = daily.recent_days(bets)
        payment_days = daily.payment_days(transactions)
        players = _players(listed, bet_days, payment_days, users)
    with stopwatch.step("play"):
        themes = [
            play.games(bets),
            play.stakes(bet_days, days),
            play.results(bet_days, days),
            play.devices(bets),
        ]
    with stopwatch.step("time"):
        themes += [times.hours(bets, players["hour_shift"]), times.rhythm(bet_days)]
        bets = bets[bets["age"] < 31]
        sessions = times.find_sessions(bets, clock)
        themes.append(times.visits(sessions))
    with stopwatch.step("payments"):
        themes += [
            payments.sums(payment_days, players, settings),
            payments.recency_frequency_money(payment_days),
        ]
    with stopwatch.step("lifecycle"):
        # This imports scipy and scikit-learn, which the pipeline also imports where it needs them.
        from bench.peer import lifecycle

        events = lifecycle.event_days(bet_days, payment_days)
        modelled = lifecycle.models(events, payment_days, settings)
        themes += [
            modelled,
            lifecycle.stages(events, bet_days, payment_days, modelled["churn_risk_score"]),
        ]
    with stopwatch.step("protection"):
        themes += [
            protection.play(days, payment_days),
            protection.sessions(sessions, transactions),
            protection.exclusion(players, clock),
        ]
        features = pd.concat(themes, axis=1)
        features = pd.concat([features, protection.markers(features, settings)], axis=1)
        features = pd.concat([features, protection.marketing(features, players, clock, settings)], axis=1)
    features["tenure_days"] = players["tenure_days"]
    features["behavioral_diversity_score"] = real6(features[ENTROPIES].mean(axis=1))
    features = features.drop(columns=ENTROPIES)
    # The categories include every spelling of a source, also those of rows that were not clean.
    return features[players["seen"]].rename_axis("user_id").reset_index()


def _players(
    listed: pd.DataFrame, bet_days: pd.DataFrame, payment_days: pd.DataFrame, users: pd.Index
) -> pd.DataFrame:
    """What is known of each player, listed or not."""
    players = listed.set_index("user_id").reindex(users)
    days = pd.concat([bet_days[["user_id", "age"]], payment_days[["user_id", "age"]]])
    first_age = days.groupby("user_id", observed=False)["age"].max()
    players["tenure_days"] = players["registered_age"].fillna(first_age)
    players["seen"] = first_age.notna() | players["listed"].notna()
    players["hour_shift"] = players["hour_shift"].fillna(0)
    return players


def main() -> None:
    """Compute and write the table that the command line describes."""
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
