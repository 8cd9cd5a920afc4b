"""An environment of the previous version is still read, with every variable name that it knew."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crmbet.run.settings import Settings

pytestmark = pytest.mark.unit

ENVIRONMENT: dict[str, tuple[str, Any]] = {
    "LAKE_BUCKET": ("acme-lake", "acme-lake"),
    "RAW_PREFIX": ("lake/raw/", "lake/raw/"),
    "BRAND": ("acme", "acme"),
    "OPERATOR_TIMEZONE": ("America/Manaus", "America/Manaus"),
    "MIN_DATA_COMPLETENESS": ("0.91", 0.91),
    "MAX_OUTLIER_PERCENTAGE": ("0.06", 0.06),
    "MAX_DUPLICATE_PERCENTAGE": ("0.03", 0.03),
    "MAX_QUARANTINE_PERCENTAGE": ("0.07", 0.07),
    "MAX_UNREADABLE_PERCENTAGE": ("0.01", 0.01),
    "MIN_DATA_FRESHNESS_HOURS": ("36.5", 36.5),
    "MIN_ROWS_PER_DAY": ("2", 2),
    "MIN_VOLUME_RATIO": ("0.4", 0.4),
    "MAX_SNAPSHOT_AGE_DAYS": ("9", 9),
    "MAX_ORPHAN_PERCENTAGE": ("0.04", 0.04),
    "MAX_OVERDRAWN_PERCENTAGE": ("0.08", 0.08),
    "MAX_PSI": ("0.3", 0.3),
    "MAX_KS_DISTANCE": ("0.2", 0.2),
    "MAX_QUARTILE_SHIFT": ("0.6", 0.6),
    "MAX_VARIANCE_RATIO": ("3", 3.0),
    "MAX_SKEW_SHIFT": ("1.5", 1.5),
    "MAX_FEATURE_CORRELATION": ("0.97", 0.97),
    "MIN_PROFILE_PLAYERS": ("300", 300),
    "MIN_PROFILE_DAYS": ("60", 60),
    "MIN_FEATURE_FILL": ("0.02", 0.02),
    "MAX_FEATURE_MAGNITUDE": ("1e8", 1e8),
    "MAX_FEATURE_CARDINALITY": ("90", 90),
    "MAX_CLASS_SHARE": ("0.98", 0.98),
    "MIN_USABLE_FEATURES": ("40", 40),
    "MAX_SOURCE_SHRINK": ("0.2", 0.2),
    "VERIFY_DAYS": ("50", 50),
    "TICKET_LOW": ("40.50", Decimal("40.50")),
    "TICKET_HIGH": ("600", Decimal(600)),
    "ADULT_AGE": ("21", 21),
    "RG_MIN_COHORT": ("25", 25),
    "RG_BAND_MEDIUM": ("0.3", 0.3),
    "RG_BAND_HIGH": ("0.5", 0.5),
    "CLV_MARGIN": ("0.12", 0.12),
    "CLV_MONTHLY_DISCOUNT_RATE": ("0.02", 0.02),
    "MIN_MODEL_COHORT": ("110", 110),
    "MIN_CALIBRATION_USERS": ("510", 510),
    "BACKUP_RETENTION_DAYS": ("31", 31),
    "BACKUP_RETENTION_COUNT": ("36", 36),
    "GONE_USERS": ("keep", "keep"),
    "MAX_TABLE_SHRINK": ("0.15", 0.15),
    "LOCK_TIMEOUT_SECONDS": ("610", 610),
    "RUN_RETENTION_DAYS": ("410", 410),
    "SWEEP_GRACE_DAYS": ("8", 8),
    "MEMORY_LIMIT": ("3GB", "3GB"),
    "THREADS": ("3", 3),
    "SPILL_DIRECTORY": ("/spill", "/spill"),
}
"""Every setting that docs/deployment.md listed at 431f3f1, without its prefix: a text, and the value that it means.

No value is the setting's default.
"""

SPECIFICATION_NAMES = {
    "DATA_LAKE_BUCKET": "LAKE_BUCKET",
    "MIN_DATA_COMPLETENESS": "MIN_DATA_COMPLETENESS",
    "MAX_OUTLIER_PERCENTAGE": "MAX_OUTLIER_PERCENTAGE",
    "MIN_DATA_FRESHNESS_HOURS": "MIN_DATA_FRESHNESS_HOURS",
    "BACKUP_RETENTION_DAYS": "BACKUP_RETENTION_DAYS",
}
"""Names of the original specification, which need no prefix, and the setting that each of them means."""


def present_name(old: str) -> str:
    """What the setting is called now."""
    if old == "MIN_DATA_FRESHNESS_HOURS":
        return "max_data_age_hours"
    return old.lower().replace("_percentage", "_share")


def values(settings: Any) -> dict[str, Any]:
    """Every setting by its own name, whatever group it is in."""
    flat: dict[str, Any] = {}
    for name, value in settings.model_dump().items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def test_every_variable_of_the_previous_version_is_read() -> None:
    found = values(Settings.from_environ({f"CRMBET_{name}": text for name, (text, _) in ENVIRONMENT.items()}))

    assert {old: found[present_name(old)] for old in ENVIRONMENT} == {
        old: value for old, (_, value) in ENVIRONMENT.items()
    }


def test_no_value_of_this_test_is_a_default() -> None:
    defaults = values(Settings.from_environ({"CRMBET_LAKE_BUCKET": "lake"}))

    for old, (_, value) in ENVIRONMENT.items():
        assert defaults[present_name(old)] != value, old


def test_names_of_the_original_specification_need_no_prefix() -> None:
    environ = {name: ENVIRONMENT[setting][0] for name, setting in SPECIFICATION_NAMES.items()}
    found = values(Settings.from_environ(environ))

    for setting in SPECIFICATION_NAMES.values():
        assert found[present_name(setting)] == ENVIRONMENT[setting][1], setting
