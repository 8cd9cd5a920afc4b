from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crmbet.failures import BadParam, BadSetting
from crmbet.run.settings import SEED_NAMES, Settings, variable_names

pytestmark = pytest.mark.unit

ENOUGH = {"CRMBET_LAKE_BUCKET": "lake"}


def read(**environ: str) -> Settings:
    return Settings.from_environ(ENOUGH | environ)


def test_a_bucket_is_enough() -> None:
    settings = read()

    assert settings.lake_bucket == "lake"
    assert settings.operator_timezone == "America/Sao_Paulo"
    assert settings.zone.key == "America/Sao_Paulo"
    assert settings.ticket_low == Decimal(50)


def test_the_bucket_has_no_default() -> None:
    with pytest.raises(BadSetting, match="CRMBET_LAKE_BUCKET is not set") as refused:
        Settings.from_environ({})
    assert "clear the task" in refused.value.next_step


@pytest.mark.parametrize(
    ("limit", "size"),
    [("512MB", 512_000_000), ("1.5GB", 1_500_000_000), ("2 GiB", 2**31), ("3MiB", 3 * 2**20)],
)
def test_memory_as_a_number(limit: str, size: int) -> None:
    assert read(CRMBET_MEMORY_LIMIT=limit).memory_bytes == size


BAD_VALUES = [
    ("LAKE_BUCKET", "x"),
    ("RAW_PREFIX", "raw"),
    ("RAW_PREFIX", "/raw/"),
    ("RAW_PREFIX", "crmbet/raw/"),
    ("BRAND", "Acme"),
    ("BRAND", "a/b"),
    ("BRAND", "../other"),
    ("OPERATOR_TIMEZONE", "Brasilia"),
    ("OPERATOR_TIMEZONE", "../etc/passwd"),
    ("MIN_DATA_COMPLETENESS", "95"),
    ("MIN_DATA_COMPLETENESS", "nan"),
    ("MAX_OUTLIER_PERCENTAGE", "5%"),
    ("MAX_DUPLICATE_PERCENTAGE", "-0.1"),
    ("MAX_QUARANTINE_PERCENTAGE", "1.1"),
    ("MAX_UNREADABLE_PERCENTAGE", "-0.1"),
    ("RUN_RETENTION_DAYS", "0"),
    ("SWEEP_GRACE_DAYS", "0"),
    ("MAX_SOURCE_SHRINK", "many"),
    ("VERIFY_DAYS", "0"),
    ("MIN_DATA_FRESHNESS_HOURS", "0"),
    ("MIN_ROWS_PER_DAY", "-1"),
    ("MIN_VOLUME_RATIO", "2"),
    ("MAX_SNAPSHOT_AGE_DAYS", "-1"),
    ("MAX_ORPHAN_PERCENTAGE", "5"),
    ("MAX_OVERDRAWN_PERCENTAGE", "-1"),
    ("MAX_PSI", "0"),
    ("MAX_KS_DISTANCE", "1.5"),
    ("MAX_QUARTILE_SHIFT", "0"),
    ("MAX_VARIANCE_RATIO", "0.5"),
    ("MAX_SKEW_SHIFT", "0"),
    ("MAX_FEATURE_CORRELATION", "1.1"),
    ("MIN_FEATURE_FILL", "-0.1"),
    ("MAX_FEATURE_MAGNITUDE", "0"),
    ("MAX_FEATURE_CARDINALITY", "1"),
    ("MAX_CLASS_SHARE", "2"),
    ("MIN_USABLE_FEATURES", "0"),
    ("TICKET_LOW", "0"),
    ("TICKET_LOW", "49.995"),
    ("TICKET_HIGH", "inf"),
    ("ADULT_AGE", "12"),
    ("RG_MIN_COHORT", "1"),
    ("RG_BAND_MEDIUM", "20"),
    ("RG_BAND_HIGH", "-0.4"),
    ("CLV_MARGIN", "10"),
    ("CLV_MONTHLY_DISCOUNT_RATE", "-0.01"),
    ("MIN_MODEL_COHORT", "0"),
    ("MIN_CALIBRATION_USERS", "0"),
    ("MIN_PROFILE_PLAYERS", "1"),
    ("MIN_PROFILE_DAYS", "0"),
    ("BACKUP_RETENTION_DAYS", "1.5"),
    ("BACKUP_RETENTION_COUNT", "0"),
    ("GONE_USERS", "forget"),
    ("MAX_TABLE_SHRINK", "1.5"),
    ("LOCK_TIMEOUT_SECONDS", "10 minutes"),
    ("MEMORY_LIMIT", "2"),
    ("MEMORY_LIMIT", "0GB"),
    ("MEMORY_LIMIT", "80%"),
    ("THREADS", "0"),
    ("THREADS", "257"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_stops_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"CRMBET_{name} has a bad value"):
        read(**{f"CRMBET_{name}": value})


def test_every_setting_that_can_be_bad_was_tried() -> None:
    free_text = {"CRMBET_SPILL_DIRECTORY"}

    assert {f"CRMBET_{name}" for name, _ in BAD_VALUES} | free_text == variable_names()


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(BadSetting) as refused:
        read(CRMBET_THREADS="many", CRMBET_BRAND="Acme", MIN_DATA_COMPLETENESS="95")

    for variable in ("CRMBET_THREADS", "CRMBET_BRAND", "MIN_DATA_COMPLETENESS"):
        assert f"{variable} has a bad value" in str(refused.value)


@pytest.mark.parametrize(
    "name", sorted(name for name in variable_names() if name != "CRMBET_SPILL_DIRECTORY")
)
def test_no_value_is_repeated(name: str) -> None:
    pasted = "Hunter2/SECRET"

    with pytest.raises(BadSetting) as refused:
        read(**{name: pasted if name != "CRMBET_LAKE_BUCKET" else "#!"})

    shown = repr((str(refused.value), vars(refused.value)))
    assert pasted not in shown
    assert "#!" not in shown
    assert refused.value.__suppress_context__


def test_the_ticket_cut_offs_must_be_ordered() -> None:
    with pytest.raises(BadSetting, match="CRMBET_TICKET_LOW must be below CRMBET_TICKET_HIGH"):
        read(CRMBET_TICKET_LOW="500", CRMBET_TICKET_HIGH="500")
    with pytest.raises(BadSetting, match="CRMBET_RG_BAND_MEDIUM must be below CRMBET_RG_BAND_HIGH"):
        read(CRMBET_RG_BAND_MEDIUM="0.5")


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({"MIN_DATA_COMPLETENESS": "0.9"}, "min_data_completeness", 0.9),
        (
            {"MIN_DATA_COMPLETENESS": "0.9", "CRMBET_MIN_DATA_COMPLETENESS": "0.8"},
            "min_data_completeness",
            0.8,
        ),
        ({"MIN_DATA_COMPLETENESS": "0.9", "CRMBET_MIN_DATA_COMPLETENESS": " "}, "min_data_completeness", 0.9),
        ({"BACKUP_RETENTION_DAYS": " 7 "}, "backup_retention_days", 7),
        ({"DATA_LAKE_BUCKET": "seed-lake"}, "lake_bucket", "lake"),
        ({"CRMBET_TICKET_LOW": "1.10"}, "ticket_low", Decimal("1.10")),
    ],
)
def test_bare_names_of_the_seed_are_read_after_ours(environ: dict[str, str], name: str, value: Any) -> None:
    assert getattr(read(**environ), name) == value


def test_the_bucket_by_its_seed_name() -> None:
    assert Settings.from_environ({"DATA_LAKE_BUCKET": "seed-lake"}).lake_bucket == "seed-lake"
    assert set(SEED_NAMES) <= set(Settings.model_fields)


def test_foreign_variables_are_left_alone() -> None:
    assert read(PATH="/bin", CRMBET_SOURCE_URL="postgresql://x") == read()


def test_every_setting_has_a_variable_and_says_what_it_is() -> None:
    assert variable_names() == {f"CRMBET_{name.upper()}" for name in Settings.model_fields}
    assert all(field.description for field in Settings.model_fields.values())


def test_a_run_sets_thresholds_for_itself() -> None:
    settings = read().with_thresholds({"max_psi": 0.4, "min_rows_per_day": 10})

    assert (settings.max_psi, settings.min_rows_per_day) == (0.4, 10)
    assert settings.max_ks_distance == read().max_ks_distance


@pytest.mark.parametrize(
    ("thresholds", "named"),
    [
        ({"max_pis": 0.4}, "unknown threshold 'max_pis'"),
        ({"lock_timeout_seconds": 1}, "unknown threshold 'lock_timeout_seconds'"),
        ({"max_orphan_percentage": 5}, "max_orphan_percentage: "),
    ],
)
def test_a_bad_threshold_of_a_run_is_named(thresholds: dict[str, float], named: str) -> None:
    with pytest.raises(BadParam, match=named):
        read().with_thresholds(thresholds)
