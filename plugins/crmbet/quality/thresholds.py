"""The thresholds that suites may refer to as `{"$PARAMETER": "<name>"}`: settings by name, and facts about the run."""

from __future__ import annotations

from datetime import timedelta

from crmbet.contracts.table import TableContract
from crmbet.quality.suites import Threshold
from crmbet.run.run import Run
from crmbet.run.settings import OLD_NAMES, THRESHOLDS, Settings


def thresholds_of(run: Run, table: TableContract, *, users: int | None = None) -> dict[str, Threshold]:
    """The thresholds of a run. `users` is the number of players in its feature table, if there is one."""
    thresholds = thresholds_of_settings(run.settings, table)
    thresholds["freshness_floor"] = run.window.as_of - timedelta(
        hours=run.settings.quality.max_data_age_hours
    )
    if users is not None:
        thresholds["expected_users"] = users
    return thresholds


def thresholds_of_settings(settings: Settings, table: TableContract) -> dict[str, Threshold]:
    """The thresholds that do not depend on a run."""
    thresholds: dict[str, Threshold] = {name: getattr(settings.quality, name) for name in THRESHOLDS}
    # Suites of a deployment may still name them as they were called before.
    thresholds |= {old: thresholds[name] for old, name in OLD_NAMES.items() if name in THRESHOLDS}
    # Rounded, because 1 - 0.95 is 0.050000000000000044.
    thresholds["max_data_incompleteness"] = round(1 - settings.quality.min_data_completeness, 9)
    # Rows without a key go to quarantine. So they may be as many as other rows that do, unless the limits are strict.
    thresholds["max_keyless_share"] = (
        0.0 if settings.quality.quality_strict else settings.quality.max_quarantine_share
    )
    thresholds["adult_age"] = settings.features.adult_age
    thresholds["contract_columns"] = list(table.computed)
    thresholds["contract_features"] = len(table.features)
    return thresholds
