"""What suites may refer to as `{"$PARAMETER": "<name>"}`: settings by their names, and what the run knows."""

from __future__ import annotations

from datetime import timedelta

from crmbet.contracts.table import TableContract
from crmbet.quality.suites import Threshold
from crmbet.run.run import Run
from crmbet.run.settings import THRESHOLDS, Settings


def thresholds_of(run: Run, table: TableContract, *, users: int | None = None) -> dict[str, Threshold]:
    """Thresholds of a run; `users` is how many players the run has, where that is known."""
    found = thresholds_of_settings(run.settings, table)
    found["freshness_floor"] = run.window.as_of - timedelta(hours=run.settings.quality.max_data_age_hours)
    if users is not None:
        found["expected_users"] = users
    return found


def thresholds_of_settings(settings: Settings, table: TableContract) -> dict[str, Threshold]:
    """Those that every run has alike."""
    found: dict[str, Threshold] = {name: getattr(settings.quality, name) for name in THRESHOLDS}
    # Rounded, since people read it: 1 - 0.95 is 0.050000000000000044.
    found["max_data_incompleteness"] = round(1 - settings.quality.min_data_completeness, 9)
    found["adult_age"] = settings.adult_age
    found["contract_columns"] = list(table.computed)
    found["contract_features"] = len(table.features)
    return found
