"""Equal arguments give equal bytes, and a longer world repeats the shorter one."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

import local.simulator.world
from local.simulator import DirtRates, World, simulate
from local.simulator.dirt import DirtLedger
from local.simulator.lake import lake_files
from local.simulator.wallet import transaction_rows

pytestmark = pytest.mark.unit

START = date(2026, 8, 1)


def written(world: World, *, broken: bool = False) -> dict[str, bytes]:
    """Every object of a world by key, and every batch of transactions."""
    objects: dict[str, bytes] = {}
    for batch in simulate(world):
        objects |= {file.key: file.body for file in lake_files(world, batch, DirtRates(), broken=broken)}
        rows, _ = transaction_rows(world, batch, DirtRates(), DirtLedger())
        objects[f"transactions {batch.day.day} {batch.shard}"] = rows
    return objects


def world(days: int, seed: int = 7, players: int = 300) -> World:
    return World(seed, players, START, START + timedelta(days=days))


@pytest.fixture(scope="module")
def twelve_days() -> dict[str, bytes]:
    return written(world(12))


def test_equal_arguments_give_equal_bytes(twelve_days: dict[str, bytes]) -> None:
    assert written(world(12)) == twelve_days


def test_another_seed_is_another_world() -> None:
    one, other = written(world(3)), written(world(3, seed=8))
    assert all(one[key] != other[key] for key in one.keys() & other.keys())


@pytest.mark.full
def test_a_longer_world_only_adds_days(twelve_days: dict[str, bytes]) -> None:
    shorter, longer = twelve_days, written(world(15))
    last_snapshot = {key for key in shorter if "players/dt=2026-08-12" in key}
    assert len(last_snapshot) == 1, "the extra snapshot of the last day"
    assert {key: longer.get(key) for key in shorter.keys() - last_snapshot} == {
        key: body for key, body in shorter.items() if key not in last_snapshot
    }
    assert {key.split()[1] for key in longer.keys() - shorter.keys() if key.startswith("transactions")} == {
        "2026-08-13", "2026-08-14", "2026-08-15",
    }  # fmt: skip


@pytest.mark.full
def test_shards_split_the_players(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.simulator.world, "PLAYERS_PER_SHARD", 100)
    split = world(4, players=250)
    assert [(shard.first_player, shard.players) for shard in split.shards()] == [
        (0, 100),
        (100, 100),
        (200, 50),
    ]
    objects = written(split)
    last_day = sorted(key for key in objects if "bets/dt=2026-08-04" in key)
    assert [key.partition(".")[0][-2:] for key in last_day] == ["00", "01", "02"]
    assert len({key.partition(".")[2] for key in last_day}) == 3, "each shard has a format of its own"
    ids = [batch.tables["players"]["user_id"].to_pylist() for batch in simulate(split) if batch.is_last_day]
    assert max(ids[0]) < "u0000100" <= min(ids[1])


def test_the_broken_world_differs_in_the_last_days_bets_alone() -> None:
    good, broken = written(world(5)), written(world(5), broken=True)
    changed = {key.rpartition(".")[0].removesuffix(".csv") for key in good.keys() ^ broken.keys()} | {
        key for key in good.keys() & broken.keys() if good[key] != broken[key]
    }
    assert len(changed) == 1
    assert changed.pop().startswith("raw/bets/dt=2026-08-05/")


@pytest.mark.parametrize(
    ("players", "end", "message"), [(0, date(2026, 8, 2), "at least 1"), (5, START, "it is exclusive")]
)
def test_impossible_worlds_are_refused(players: int, end: date, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(1, players, START, end)
