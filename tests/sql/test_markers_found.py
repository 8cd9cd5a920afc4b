"""The marker of loss chasing tells those whom the simulator plants from others who play as much."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest

from bench.markers import evidence, fix_cut_off, is_heavy, play, shares_found
from local.simulator import World

pytestmark = pytest.mark.sql


@pytest.mark.full
def test_heavy_chasers_are_told_from_heavy_players() -> None:
    world = World(
        seed=8,
        players=150,
        start_day=date(2026, 1, 5),
        end_day=date(2026, 2, 16),
        shares={"heavy": 0.6, "loss_chaser": 0.4},
    )

    frame, thresholds = play(world)

    known = frame.dropna(subset="rg_loss_chasing_30d")
    of_kind = dict(list(known.groupby("archetype")["rg_loss_chasing_30d"]))
    assert all(len(values) >= 20 for values in of_kind.values())
    pairs = list(product(of_kind["loss_chaser"], of_kind["heavy"]))
    assert sum(chaser > other for chaser, other in pairs) / len(pairs) > 0.9
    assert abs(of_kind["heavy"].mean()) < 0.1, "the others do not chase"
    assert {"loss_chasing", "variability", "cancelled_withdrawals"} <= thresholds.keys()
    heavy = frame[is_heavy(frame)]
    threshold = fix_cut_off(evidence(heavy[heavy["archetype"] == "heavy"]))
    found, wrong = shares_found(heavy, evidence(heavy) > threshold)
    assert found > 0.6
    assert wrong <= 0.05
