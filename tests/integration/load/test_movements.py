"""Who has moved between segments: planted players, each with a known reason, and who may read of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crmbet.load.movements import count_movements, ensure_movements
from crmbet.load.session import LoadSession
from tests.integration.load.small_loads import load_rows

pytestmark = pytest.mark.integration

ZONE = "America/Sao_Paulo"
TODAY = datetime(2026, 11, 20, 3, tzinfo=UTC)
USUAL = {
    "rfm_segment": "loyal", "recency_score": 3, "frequency_score": 3, "monetary_score": 3,
    "churn_risk_band": "low", "churn_risk_score": 0.2, "churn_prob_30d": 0.2, "lifecycle_stage": "active",
    "days_since_last_activity": 3, "active_days_30d": 10, "tenure_days": 200,
    "rg_risk_band": "low", "rg_risk_score": 0.1, "rg_markers_triggered": [],
}  # fmt: skip

PLANTED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str | None]] = {
    "silent": (
        {}, {"churn_risk_band": "high", "churn_risk_score": 0.7, "days_since_last_activity": 4},
        "churn_risk_band", "days_since_last_activity",
    ),
    "lapsed": (
        {"churn_risk_band": "critical", "days_since_last_activity": 29},
        {"churn_risk_band": "churned", "days_since_last_activity": 30},
        "churn_risk_band", "days_since_last_activity",
    ),
    "plays_less": (
        {}, {"churn_risk_band": "medium", "churn_risk_score": 0.5, "days_since_last_activity": 0, "active_days_30d": 9},
        "churn_risk_band", "active_days_30d",
    ),
    "refitted": ({}, {"churn_risk_band": "medium", "churn_risk_score": 0.5}, "churn_risk_band", "churn_prob_30d"),
    "first_event": (
        {"churn_risk_band": None, "churn_risk_score": None}, {},
        "churn_risk_band", "days_since_last_activity",
    ),
    "deposited_long_ago": ({}, {"rfm_segment": "at_risk", "recency_score": 2}, "rfm_segment", "recency_score"),
    "deposits_more": (
        {"rfm_segment": "potential_loyalist", "frequency_score": 1, "monetary_score": 2}, {},
        "rfm_segment", "frequency_score",
    ),
    "deposits_less_money": (
        {}, {"rfm_segment": "potential_loyalist", "frequency_score": 3, "monetary_score": 1},
        "rfm_segment", "monetary_score",
    ),
    "all_fell": (
        {}, {"rfm_segment": "lost", "recency_score": 1, "frequency_score": 1, "monetary_score": 1},
        "rfm_segment", "recency_score",
    ),
    "first_deposit": (
        {"rfm_segment": "prospect", "recency_score": None, "frequency_score": None, "monetary_score": None}, {},
        "rfm_segment", "recency_score",
    ),
    "grew_up": ({"lifecycle_stage": "new", "tenure_days": 29}, {"tenure_days": 30}, "lifecycle_stage", "tenure_days"),
    "slows": ({}, {"lifecycle_stage": "at_risk"}, "lifecycle_stage", "days_since_last_activity"),
    "back": (
        {"lifecycle_stage": "churned"}, {"lifecycle_stage": "reactivated"},
        "lifecycle_stage", "days_since_last_activity",
    ),
    "settled": ({"lifecycle_stage": "reactivated"}, {}, "lifecycle_stage", "active_days_30d"),
    "marked": (
        {"rg_markers_triggered": ["rg_b"]},
        {"rg_risk_band": "high", "rg_risk_score": 0.5, "rg_markers_triggered": ["rg_a", "rg_b", "rg_c"]},
        "rg_risk_band", "rg_a, rg_c",
    ),
    "unmarked": (
        {"rg_risk_band": "medium", "rg_risk_score": 0.3, "rg_markers_triggered": ["rg_a"]}, {},
        "rg_risk_band", "rg_a",
    ),
}  # fmt: skip
"""Player to what was different then, what is different now, the dimension in which that moves, and the reason."""


@pytest.fixture
def moved(session: LoadSession, row: Callable[..., Any], stage: Callable[..., Any]) -> LoadSession:
    """A table and a history of two days in which the planted players have moved, and one has not."""
    then = [row(name, day=19, **USUAL | before) for name, (before, *_) in PLANTED.items()]
    now = [row(name, day=20, **USUAL | after) for name, (_, after, *_) in PLANTED.items()]
    then += [row("steady", day=19, **USUAL), row("leaves", day=19, **USUAL)]
    now += [row("steady", day=20, **USUAL), row("comes", day=20, **USUAL)]
    for rows in (then, now):
        load_rows(session, stage(session, rows))
    ensure_movements(session, ZONE)
    return session


def rows_of(query: Callable[..., Any], session: LoadSession, what: str, where: str = "true") -> Any:
    views = ("segment_movements", "rg_segment_movements")
    selects = [f"SELECT {what} FROM {session.in_schema(view)} WHERE {where}" for view in views]
    return query(" UNION ALL ".join(selects))


def test_every_planted_player_has_moved_by_the_planted_feature(
    moved: LoadSession, query: Callable[..., Any]
) -> None:
    found = rows_of(query, moved, "user_id, dimension, reason", "user_id NOT IN ('comes', 'leaves')")

    assert sorted(found) == sorted(
        (name, dimension, reason) for name, (*_, dimension, reason) in PLANTED.items()
    )


def test_a_reason_has_its_value_then_and_now(moved: LoadSession, query: Callable[..., Any]) -> None:
    what = "as_of, since, days, from_segment, to_segment, reason_from, reason_to"

    assert rows_of(query, moved, what, "user_id = 'silent'") == [
        (TODAY, TODAY - timedelta(days=1), 1, "low", "high", "3", "4")
    ]


def test_who_comes_and_who_leaves_has_no_segment_there(moved: LoadSession, query: Callable[..., Any]) -> None:
    for name, ends in (("comes", (None, "loyal")), ("leaves", ("loyal", None))):
        found = rows_of(
            query,
            moved,
            "from_segment, to_segment, reason",
            f"user_id = '{name}' AND dimension = 'rfm_segment'",
        )
        assert found == [(*ends, None)]


def test_a_month_is_a_month_of_the_operators_zone_and_a_day_that_is_missing_moves_nobody(
    session: LoadSession, row: Callable[..., Any], stage: Callable[..., Any], query: Callable[..., Any]
) -> None:
    """Clocks go back on 25 October in Lisbon, so 30 days before midnight of 20 November are 30 days and an hour."""
    midnights = [datetime(2026, 10, 20, 23, tzinfo=UTC), datetime(2026, 11, 20, 0, tzinfo=UTC)]
    for as_of, segment in zip((midnights[0] - timedelta(0), midnights[1]), ("lost", "loyal"), strict=True):
        rows = [row("u", **USUAL | {"rfm_segment": segment, "as_of": as_of})]
        load_rows(session, stage(session, rows))

    ensure_movements(session, "Europe/Lisbon")

    assert rows_of(query, session, "days, from_segment, to_segment", "dimension = 'rfm_segment'") == [
        (30, "lost", "loyal")
    ]


def test_counts_have_those_who_stayed_and_the_commonest_reason(moved: LoadSession) -> None:
    counted = {
        (flow.from_segment, flow.to_segment): (flow.players, flow.reason)
        for flow in count_movements(moved, TODAY)
        if flow.dimension == "churn_risk_band"
    }

    still = len(PLANTED) - 5
    assert counted == {
        ("low", "high"): (1, "days_since_last_activity"),
        ("critical", "churned"): (1, "days_since_last_activity"),
        ("low", "medium"): (2, "active_days_30d"),
        (None, "low"): (2, "days_since_last_activity"),
        ("low", None): (1, None),
        ("low", "low"): (still + 1, None),
    }
    assert {flow.days for flow in count_movements(moved, TODAY)} == {1}
    assert count_movements(moved, TODAY - timedelta(days=1)) == [], "the table is of a later day"


def test_a_view_is_made_once_and_again_if_the_zone_is_another(
    moved: LoadSession, query: Callable[..., Any]
) -> None:
    view = str(moved.in_schema("segment_movements"))

    def version() -> Any:
        return query("SELECT xmin::text, obj_description(oid) FROM pg_class WHERE oid = %s::regclass", view)

    first = version()
    ensure_movements(moved, ZONE)
    assert version() == first

    ensure_movements(moved, "UTC")
    assert version() != first


def test_a_view_that_is_being_read_holds_no_load_up(
    moved: LoadSession, connect: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("crmbet.load.movements.DDL_WAIT_SECONDS", 1)
    with connect() as reader, reader.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {moved.in_schema('segment_movements')}")

        ensure_movements(moved, "UTC")

    assert "the view segment_movements is made by the next run" in caplog.text


def test_a_contract_without_a_dimension_has_no_such_view(moved: LoadSession) -> None:
    columns = {name: of for name, of in moved.contract.columns.items() if name != "rg_risk_band"}
    narrow = LoadSession(
        connection=moved.connection,
        contract=moved.contract.model_copy(update={"columns": columns}),
        run_id="narrow",
        lock_timeout_seconds=5,
    )

    assert {flow.dimension for flow in count_movements(narrow, TODAY)} == {
        "rfm_segment", "churn_risk_band", "lifecycle_stage",
    }  # fmt: skip
