"""Why a score is what it is, on planted players: what is peculiar about each is found, and says how much it moves."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from crmbet.databases.duckdb import open_engine
from crmbet.databases.statements import statement
from crmbet.learning.records import ModelRun
from tests.sql.test_scoring import Day, SlowPareto, history, play, score, settings

pytestmark = pytest.mark.sql

Reasons = dict[str, dict[str, float]]
"""Player to feature to move, largest first."""


def regular(user: str, ages: range, money: int) -> list[Day]:
    """A player who bets and deposits on some days."""
    return [(user, age, 1, 1, Decimal(money)) for age in ages]


PLANTED = [
    *regular("a_silent", range(80, 118, 12), 60),
    *regular("b_rich", range(2, 110, 9), 6000),
    *regular("c_poor", range(2, 110, 9), 1),
    ("d_never_deposited", 3, 4, 0, Decimal(0)),
]


@pytest.fixture(scope="module")
def explained() -> Iterator[tuple[ModelRun, dict[str, dict[str, Any]], Reasons, Reasons, list[Day]]]:
    world = [*play(600), *PLANTED]
    with open_engine(settings(memory_limit="512MB")) as engine:
        run, scores = score(engine, world)
        yield run, scores, reasons(engine, "churn_reasons"), reasons(engine, "value_reasons"), world


def reasons(engine: duckdb.DuckDBPyConnection, table: str) -> Reasons:
    rows = engine.execute(f"SELECT user_id, reasons FROM {table}").fetchall()
    return {user: {each["feature"]: float(each["move"]) for each in listed} for user, listed in rows}


def first(found: dict[str, float]) -> tuple[str, bool]:
    """The first reason, and whether it raises the score."""
    name, move = next(iter(found.items()))
    return name, move > 0


def test_silence_is_why_a_silent_player_is_at_risk(explained: Any) -> None:
    _, scores, churn, value, _ = explained
    assert scores["a_silent"]["churn_risk_score"] > 0.8
    assert first(churn["a_silent"]) == ("idle_days", True)
    assert first(value["a_silent"]) == ("days_since_last_deposit", False)


def test_money_is_why_a_rich_player_is_worth_more_and_a_poor_one_less(explained: Any) -> None:
    *_, value, _ = explained
    assert first(value["b_rich"]) == ("expected_deposit_value", True)
    assert first(value["c_poor"]) == ("expected_deposit_value", False)


def test_who_never_deposited_has_no_value_to_explain(explained: Any) -> None:
    _, _, churn, value, _ = explained
    assert "d_never_deposited" in churn
    assert "d_never_deposited" not in value


def test_a_move_is_what_the_slow_calculation_says(explained: Any) -> None:
    """One number is replaced by the median, with the score asked again for this player alone."""
    run, scores, _, value, world = explained
    dates: dict[str, list[int]] = {}
    for user, age, _, deposits, _ in world:
        if deposits:
            dates.setdefault(user, []).append(age)
    idle = sorted(min(ages) for ages in dates.values())
    # The engine's discrete median: the lower of two in the middle.
    usual = idle[(len(idle) + 1) // 2 - 1] / 7
    model = SlowPareto(**run.deposit_days.fit.parameters)
    worth: float = float(scores["a_silent"]["expected_deposit_value"]) * float(run.clv_margin)
    x, tx, end = history(dates["a_silent"])

    def value_of(last: float) -> float:
        months = [0.0, *(model.expected(x, last, end, month * 30 / 7) for month in range(1, 13))]
        return worth * sum((months[m] - months[m - 1]) / 1.01**m for m in range(1, 13))

    moved = value_of(tx) - value_of(end - min(usual, end))
    assert value["a_silent"]["days_since_last_deposit"] == pytest.approx(moved, abs=0.02)


def test_reasons_are_in_the_order_of_their_size(explained: Any) -> None:
    for found in (*explained[2].values(), *explained[3].values()):
        sizes = [abs(move) for move in found.values()]
        assert sizes == sorted(sizes, reverse=True)
        assert 0 not in sizes


def test_without_models_there_are_no_reasons() -> None:
    with open_engine(settings(memory_limit="512MB")) as engine:
        score(engine, PLANTED)
        assert {
            *map(str, (reasons(engine, "churn_reasons") | reasons(engine, "value_reasons")).values())
        } <= {"{}"}


def test_a_marker_is_worth_one_of_those_available(engine: duckdb.DuckDBPyConnection) -> None:
    """The points are exact: with one reason gone, the score is that of the markers that are left."""
    engine.execute(
        """
        CREATE OR REPLACE TEMP TABLE protection_values AS FROM (VALUES
            ('a', 'frequency', 0.9), ('a', 'intensity', 50.0), ('a', 'trajectory', 0.1),
            ('a', 'declined_deposits', 1.0), ('b', 'declined_deposits', 1.0), ('c', 'declined_deposits', 1.0),
            ('b', 'frequency', 0.1), ('b', 'intensity', 1.0), ('b', 'trajectory', -0.5),
            ('c', 'frequency', 0.1), ('c', 'intensity', 1.0), ('c', 'trajectory', -0.5)
        ) AS t(user_id, marker, value);
        CREATE OR REPLACE TEMP TABLE cut_offs AS FROM (VALUES
            ('frequency', 0.8), ('intensity', 10.0), ('trajectory', -0.2), ('declined_deposits', 1.0)
        ) AS t(marker, cut_off);
        CREATE OR REPLACE TEMP TABLE protection_limits AS FROM (VALUES
            ('a', 'none'), ('b', 'active'), ('c', NULL)
        ) AS t(user_id, rg_self_exclusion_status);
        """
    )
    for verb in ("create_measures", "usual_markers", "markers", "explain_markers"):
        text = statement(f"features/themes/{verb}")
        engine.execute("SET VARIABLE rg_band_high = 0.4; SET VARIABLE rg_band_medium = 0.2")
        if verb == "create_measures":
            engine.execute(text)
        else:
            engine.execute(f"CREATE OR REPLACE TEMP TABLE {verb} AS {text}")
    found = dict(engine.execute("SELECT user_id, reasons FROM explain_markers").fetchall())
    scores = dict(engine.execute("SELECT user_id, rg_risk_score FROM markers").fetchall())

    # Everybody shows declined_deposits, the median player too: it sets nobody apart.
    assert [(each["feature"], each["move"]) for each in found["a"]] == [
        ("intensity", 0.25), ("frequency", 0.25), ("trajectory", 0.25)
    ]  # fmt: skip
    # Two of five with the exclusion, one of four without it.
    assert [(each["feature"], each["move"]) for each in found["b"]] == [("self_exclusion", 0.15)]
    assert scores["b"] == pytest.approx(0.15 + 1 / 4)
    assert "c" not in found
