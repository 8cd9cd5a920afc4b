"""Which earlier parameters serve a run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest

from crmbet.learning.fits import read_earlier_fits, write_fitted_models
from crmbet.learning.records import ModelFit, ModelRun, ServedModel
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore

pytestmark = pytest.mark.integration

LAYOUT = Layout(brand="acme")
DAY = date(2026, 11, 20)
KNOWN_AT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def store(bucket: str) -> ObjectStore:
    return ObjectStore(boto3.client("s3"), bucket)


def models(as_of: date, value: float, **changes: Any) -> ModelRun:
    fit = ModelFit(
        parameters={"r": value}, as_of=as_of, cohort=9, patterns=9, log_likelihood=-1.0, iterations=1
    )
    served = ServedModel(cohort=9, fit=fit)
    fields = {
        "as_of": as_of,
        **dict.fromkeys(("deposit_days", "activity_days", "deposit_values"), served),
        "value_correlation": None,
        "value_depends_on_frequency": False,
        "holdout": None,
        "holdout_problem": "",
        "calibration": None,
        "calibration_problem": "",
        "clv_margin": 0.1,
        "clv_monthly_discount_rate": 0.01,
    }
    return ModelRun(**fields | changes)


def keep(store: ObjectStore, run: ModelRun, known_at: datetime = KNOWN_AT) -> str | None:
    return write_fitted_models(store, LAYOUT, run, known_at=known_at, run_id="r1")


def found(
    store: ObjectStore, as_of: date = DAY + timedelta(days=1), known_at: datetime = KNOWN_AT
) -> dict[str, float]:
    fits = read_earlier_fits(store, LAYOUT, as_of=as_of, known_at=known_at)
    return {name: fit.parameters["r"] for name, fit in fits.items()}


def all_of(value: float) -> dict[str, float]:
    return dict.fromkeys(("deposit_days", "activity_days", "deposit_values"), value)


def test_nothing_was_kept_yet(store: ObjectStore) -> None:
    assert found(store) == {}


def test_the_newest_as_of_before_the_runs_own_serves(store: ObjectStore) -> None:
    for days, value in ((-9, 1.0), (0, 2.0), (1, 3.0)):
        keep(store, models(DAY + timedelta(days=days), value))

    assert found(store, DAY + timedelta(days=1)) == all_of(2.0)
    assert found(store, DAY) == all_of(1.0), "not its own: a day must not depend on whether it ran before"
    assert found(store, DAY - timedelta(days=9)) == {}


def test_what_was_known_later_does_not_serve(store: ObjectStore) -> None:
    keep(store, models(DAY, 1.0), KNOWN_AT - timedelta(days=2))
    keep(store, models(DAY, 2.0), KNOWN_AT)
    keep(store, models(DAY, 3.0), KNOWN_AT + timedelta(days=2))

    assert found(store) == all_of(2.0)


def test_each_model_falls_back_by_itself(store: ObjectStore) -> None:
    without = ServedModel(cohort=0, fit=None, problem="0 players")
    fallback = models(DAY, 1.0).deposit_days.model_copy(update={"problem": "3 players"})
    keep(store, models(DAY - timedelta(days=5), 1.0))
    keep(store, models(DAY, 2.0, deposit_values=without, deposit_days=fallback))

    assert found(store) == {"deposit_days": 1.0, "activity_days": 2.0, "deposit_values": 1.0}


def test_a_run_that_fitted_nothing_keeps_nothing(store: ObjectStore) -> None:
    without = ServedModel(cohort=0, fit=None, problem="0 players")

    assert keep(store, models(DAY, 1.0, **dict.fromkeys(all_of(0), without))) is None
    assert list(store.list(LAYOUT.root)) == []


def test_many_days_without_it_are_passed_over(store: ObjectStore) -> None:
    without = ServedModel(cohort=0, fit=None, problem="0 players")
    keep(store, models(DAY - timedelta(days=60), 1.0))
    for days in range(40):
        keep(store, models(DAY - timedelta(days=days), 2.0, deposit_values=without))

    assert found(store) == all_of(2.0) | {"deposit_values": 1.0}


@pytest.mark.parametrize("newest_is_named", ["0" * 12, "f" * 12], ids=["first", "last"])
def test_the_newest_of_many_fits_of_one_day_serves_whatever_their_names(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, newest_is_named: str
) -> None:
    """Forty runs of one as_of, more than are read at once, and the names say nothing about their order."""
    names = iter([newest_is_named, *(f"{number:012x}" for number in range(1, 40))])
    monkeypatch.setattr("crmbet.learning.fits.attempt_name", lambda: next(names))
    keep(store, models(DAY, 99.0), KNOWN_AT)
    for number in range(1, 40):
        keep(store, models(DAY, float(number)), KNOWN_AT - timedelta(days=40 - number))

    assert found(store) == all_of(99.0)
    assert found(store, known_at=KNOWN_AT - timedelta(days=1)) == all_of(39.0)


def test_days_that_are_not_needed_are_not_read(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in range(100):
        keep(store, models(DAY - timedelta(days=days), 1.0))
    read: list[str] = []
    read_one = store.read

    def note_read(key: str) -> bytes | None:
        read.append(key)
        return read_one(key)

    monkeypatch.setattr(store, "read", note_read)

    assert found(store) == all_of(1.0)
    assert len(read) == PARALLEL_REQUESTS


def test_what_is_kept_is_ours(store: ObjectStore) -> None:
    key = keep(store, models(DAY, 1.0))

    assert key is not None
    assert LAYOUT.is_ours(key)
