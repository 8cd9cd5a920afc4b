"""What the models learned, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from crmbet.learning.records import Calibration, Decile, Holdout, ModelFit, ModelRun, ServedModel
from crmbet.load.model_parameters import Origin, record_models

pytestmark = pytest.mark.integration

AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)
KNOWN_AT = AS_OF + timedelta(hours=6)


def fit(**parameters: float) -> ModelFit:
    return ModelFit(
        parameters=parameters,
        as_of=date(2026, 11, 20),
        cohort=900,
        patterns=700,
        log_likelihood=-1234.5,
        iterations=7,
    )


def models(**changes: Any) -> ModelRun:
    pareto = fit(r=0.1 + 0.2, alpha=10.5, s=0.6, beta=11.6)
    fields: dict[str, Any] = {
        "as_of": date(2026, 11, 20),
        "deposit_days": ServedModel(cohort=900, fit=pareto),
        "activity_days": ServedModel(cohort=3, fit=pareto, problem="3 players"),
        "deposit_values": ServedModel(cohort=0, fit=None, problem="0 players"),
        "value_correlation": 0.4,
        "value_depends_on_frequency": True,
        "holdout": Holdout(
            as_of=date(2026, 10, 21),
            players=800,
            silent=300,
            fit=pareto,
            auc=0.9,
            brier=0.1,
            recency_auc=0.8,
            recency_brier=0.2,
            deciles=[Decile(decile=1, players=80, mean_score=0.1, share_silent=0.125)],
        ),
        "holdout_problem": None,
        "calibration": Calibration(scores=[0.1, 0.9], shares=[0.0, 1.0]),
        "calibration_problem": None,
        "clv_margin": 0.1,
        "clv_monthly_discount_rate": 0.01,
    }
    return ModelRun(**fields | changes)


@pytest.fixture
def record(session: Any) -> Callable[..., int]:
    """Writes models as a load would."""

    def write(
        run: ModelRun, known_at: datetime = KNOWN_AT, run_id: str = "r1", as_of: datetime = AS_OF
    ) -> int:
        origin = Origin(as_of=as_of, known_at=known_at, run_id=run_id, written_at=datetime.now(UTC))
        with session.exclusive_transaction() as cursor:
            return record_models(cursor, session.contract.schema_name, run, origin)

    return write


@pytest.fixture
def rows(query: Callable[..., list[tuple[Any, ...]]], session: Any) -> Callable[[str], list[tuple[Any, ...]]]:
    def read(columns: str) -> list[tuple[Any, ...]]:
        return query(
            f'SELECT {columns} FROM "{session.contract.schema_name}".model_parameters ORDER BY as_of, model'
        )

    return read


def test_one_row_a_model(record: Any, rows: Any) -> None:
    assert record(models()) == 4

    assert rows("model, parameters, fitted_as_of, is_fallback, problem, cohort, log_likelihood") == [
        ("gamma_gamma_deposit_values", None, None, False, "0 players", 0, None),
        (
            "isotonic_churn",
            {"scores": [0.1, 0.9], "shares": [0.0, 1.0]},
            date(2026, 10, 21),
            False,
            None,
            800,
            None,
        ),
        (
            "pareto_nbd_activity_days",
            {"r": 0.1 + 0.2, "alpha": 10.5, "s": 0.6, "beta": 11.6},
            date(2026, 11, 20),
            True,
            "3 players",
            3,
            -1234.5,
        ),
        (
            "pareto_nbd_deposit_days",
            {"r": 0.1 + 0.2, "alpha": 10.5, "s": 0.6, "beta": 11.6},
            date(2026, 11, 20),
            False,
            None,
            900,
            -1234.5,
        ),
    ]


def test_the_evaluation_can_be_asked_in_sql(record: Any, rows: Any) -> None:
    record(models())

    found = rows("(evaluation ->> 'auc')::float8, evaluation -> 'deciles' -> 0 ->> 'share_silent'")

    assert found[1] == (0.9, "0.125")
    assert rows("evaluation -> 'value_depends_on_frequency'")[0] == (True,)


def test_a_repeat_writes_nothing(record: Any, rows: Any) -> None:
    record(models())
    before = rows("updated_at")

    assert record(models(), run_id="r2") == 0
    assert rows("updated_at") == before


def test_who_knew_less_writes_over_nothing(record: Any, rows: Any) -> None:
    record(models())

    assert record(models(value_correlation=0.1), known_at=KNOWN_AT - timedelta(hours=1)) == 0
    assert record(models(value_correlation=0.1), known_at=KNOWN_AT + timedelta(hours=1), run_id="r3") == 1
    assert rows("execution_id")[0] == ("r3",)


def test_every_as_of_has_its_own(record: Any, rows: Any) -> None:
    record(models())

    assert record(models(), as_of=AS_OF + timedelta(days=1)) == 4
    assert len(rows("model")) == 8


def test_a_run_without_anything(record: Any, rows: Any) -> None:
    nothing = ServedModel(cohort=0, fit=None, problem="0 players")

    record(
        models(
            deposit_days=nothing,
            activity_days=nothing,
            holdout=None,
            holdout_problem="0 players",
            calibration=None,
            calibration_problem="there is no holdout",
        )
    )

    assert rows("parameters, evaluation")[1:] == [(None, None)] * 3
