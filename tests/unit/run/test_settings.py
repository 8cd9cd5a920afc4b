from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from crmbet.failures import BadParam, BadSetting
from crmbet.run.schedule import MINUTES, operator_timezone, time_limit
from crmbet.run.settings import (
    GROUPS,
    OLD_NAMES,
    SETTINGS,
    SPECIFICATION_NAMES,
    THRESHOLDS,
    Settings,
    old_variable_names,
    variable_name,
    variable_names,
)

pytestmark = pytest.mark.unit

ENOUGH = {"CRMBET_LAKE_BUCKET": "lake"}


def read(**environ: str) -> Settings:
    return Settings.from_environ(ENOUGH | environ)


def test_a_bucket_is_enough() -> None:
    settings = read()

    assert settings.lake_bucket == "lake"
    assert settings.operator_timezone == "America/Sao_Paulo"
    assert settings.zone.key == "America/Sao_Paulo"
    assert settings.features.ticket_low == Decimal(50)


def test_the_bucket_has_no_default() -> None:
    with pytest.raises(BadSetting, match="CRMBET_LAKE_BUCKET is not set") as refused:
        Settings.from_environ({})
    assert "clear the task" in refused.value.next_step


@pytest.mark.parametrize(
    ("limit", "size"),
    [("512MB", 512_000_000), ("1.5GB", 1_500_000_000), ("2 GiB", 2**31), ("3MiB", 3 * 2**20)],
)
def test_memory_as_a_number(limit: str, size: int) -> None:
    assert read(CRMBET_MEMORY_LIMIT=limit).engine.memory_bytes == size


FOLDERS = {
    "CRMBET_SPILL_DIRECTORY", "CRMBET_CONTRACTS_DIRECTORY", "CRMBET_BRANDS_DIRECTORY", "CRMBET_AUDIENCES_FOLDER",
}  # fmt: skip
"""Any text may be the name of a folder."""

BAD_VALUES = [
    ("STREAM_TOPICS", "bets"),
    ("STREAM_TOPICS", "players=casino"),
    ("STREAM_TOPICS", "bets=one bets=two"),
    ("STREAM_TOPICS", "bets=one transactions=one"),
    ("STREAM_BATCH_SECONDS", "0"),
    ("STREAM_BATCH_MESSAGES", "0"),
    ("MAX_STREAM_AGE_SECONDS", "-1"),
    ("RG_LIVE_SESSION_MINUTES", "0"),
    ("RG_LIVE_SESSION_DEPOSITS", "0"),
    ("ASK_ON", "sometimes"),
    ("APPROVERS", "ana;rui"),
    ("PRIVACY_OFFICERS", "ana;rui"),
    ("APPROVAL_TIMEOUT_MINUTES", "0"),
    ("AUDIENCES_TIMEOUT_MINUTES", "0"),
    ("LAKE_BUCKET", "x"),
    ("LANGUAGE", "pt"),
    ("RAW_PREFIX", "raw"),
    ("RAW_PREFIX", "/raw/"),
    ("RAW_PREFIX", "crmbet/raw/"),
    ("BRAND", "Acme"),
    ("BRAND", "a/b"),
    ("BRAND", "../other"),
    ("TARGET_SCHEMA", "Features"),
    ("TARGET_SCHEMA", "public"),
    ("TARGET_SCHEMA", "pg_temp"),
    ("TARGET_SCHEMA", "ml_features_" + "x" * 36),
    ("DAILY_SCHEDULE", "0 * * * *"),
    ("DAILY_SCHEDULE", "61 3 * * *"),
    ("DAILY_SCHEDULE", "@hourly"),
    ("WEEKLY_SCHEDULE", "0 5 * * *"),
    ("WEEKLY_SCHEDULE", "0 24 * * 0"),
    ("LAKE_CONNECTION", "crm bet"),
    ("SOURCE_CONNECTION", "a/b"),
    ("TARGET_CONNECTION", "a;b"),
    ("STREAM_CONNECTION", "?"),
    ("MONITORING_CONNECTION", "x" * 201),
    ("PRIVACY_CONNECTION", "x" * 201),
    ("OPERATOR_TIMEZONE", "Brasilia"),
    ("OPERATOR_TIMEZONE", "../etc/passwd"),
    ("QUALITY_STRICT", "very"),
    ("MIN_DATA_COMPLETENESS", "95"),
    ("MIN_DATA_COMPLETENESS", "nan"),
    ("MAX_OUTLIER_SHARE", "5%"),
    ("MAX_DUPLICATE_SHARE", "-0.1"),
    ("MAX_QUARANTINE_SHARE", "1.1"),
    ("MAX_DISCARDED_SHARE", "5"),
    ("MAX_UNREADABLE_PROTECTION_SHARE", "-0.1"),
    ("MAX_UNREADABLE_SHARE", "-0.1"),
    ("MAX_PASSED_OVER_SHARE", "50%"),
    ("RUN_RETENTION_DAYS", "0"),
    ("LEGAL_RETENTION_DAYS", "-1"),
    ("LEGAL_RETENTION_DAYS", "five years"),
    ("ERASURE_DEADLINE_DAYS", "0"),
    ("PRICE_CURRENCY", "dollars"),
    ("PRICE_VCPU_HOUR", "-1"),
    ("PRICE_GB_MONTH", "cheap"),
    ("PRICE_1000_READS", "-0.1"),
    ("PRICE_1000_WRITES", "-0.1"),
    ("SWEEP_GRACE_DAYS", "0"),
    ("CONNECT_TIMEOUT_SECONDS", "1"),
    ("ANSWER_TIMEOUT_SECONDS", "0"),
    ("STATEMENT_TIMEOUT_SECONDS", "1h"),
    ("IDLE_TIMEOUT_SECONDS", "-1"),
    ("ALERT_TIMEOUT_SECONDS", "0"),
    ("ALERT_TIMEOUT_SECONDS", "60"),
    *((name.upper(), value) for name in MINUTES for value in ("0", "-5", "2h", "90.5", "10081", "forever")),
    ("MAX_SOURCE_SHRINK", "many"),
    ("VERIFY_DAYS", "0"),
    ("MAX_DATA_AGE_HOURS", "0"),
    ("MIN_ROWS_PER_DAY", "-1"),
    ("MIN_VOLUME_RATIO", "2"),
    ("MAX_SNAPSHOT_AGE_DAYS", "-1"),
    ("MAX_ORPHAN_SHARE", "5"),
    ("MAX_OVERDRAWN_SHARE", "-1"),
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
    ("MAX_SEGMENT_JUMP_SHARE", "25%"),
    ("LOCK_TIMEOUT_SECONDS", "10 minutes"),
    ("SHARDS", "0"),
    ("SHARDS", "65"),
    ("MEMORY_LIMIT", "2"),
    ("MEMORY_LIMIT", "0GB"),
    ("MEMORY_LIMIT", "80%"),
    ("MAX_UNPACKED_SIZE", "50"),
    ("MAX_UNPACKED_SIZE", "0GB"),
    ("MAX_UNPACKED_RATIO", "0"),
    ("MAX_UNPACKED_RATIO", "inf"),
    ("THREADS", "0"),
    ("THREADS", "257"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_stops_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"CRMBET_{name} has a bad value"):
        read(**{f"CRMBET_{name}": value})


def test_every_setting_that_can_be_bad_was_tried() -> None:
    free_text = FOLDERS

    tried = {f"CRMBET_{name}" for name, _ in BAD_VALUES}

    assert variable_names() - free_text - tried == set(), "each needs a bad value in BAD_VALUES"
    assert tried - variable_names() == set(), "BAD_VALUES names what is no setting"


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(BadSetting) as refused:
        read(CRMBET_THREADS="many", CRMBET_BRAND="Acme", MIN_DATA_COMPLETENESS="95")

    for variable in ("CRMBET_THREADS", "CRMBET_BRAND", "MIN_DATA_COMPLETENESS"):
        assert f"{variable} has a bad value" in str(refused.value)


@pytest.mark.parametrize("name", sorted(variable_names() - FOLDERS))
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


def flat(settings: Settings) -> dict[str, Any]:
    return {
        name: value
        for top in Settings.model_fields
        for name, value in (
            dict(getattr(settings, top)) if top in GROUPS else {top: getattr(settings, top)}
        ).items()
    }


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
        ({"MAX_OUTLIER_PERCENTAGE": "0.1"}, "max_outlier_share", 0.1),
        ({"MAX_OUTLIER_PERCENTAGE": "0.1", "CRMBET_MAX_OUTLIER_SHARE": "0.2"}, "max_outlier_share", 0.2),
        ({"MAX_OUTLIER_PERCENTAGE": "0.1", "CRMBET_MAX_OUTLIER_PERCENTAGE": "0.3"}, "max_outlier_share", 0.3),
        ({"MIN_DATA_FRESHNESS_HOURS": "36"}, "max_data_age_hours", 36),
        ({"BACKUP_RETENTION_DAYS": " 7 "}, "backup_retention_days", 7),
        ({"DATA_LAKE_BUCKET": "their-lake"}, "lake_bucket", "lake"),
        ({"CRMBET_TICKET_LOW": "1.10"}, "ticket_low", Decimal("1.10")),
    ],
)
def test_bare_names_of_the_specification_are_read_after_ours(
    environ: dict[str, str], name: str, value: Any
) -> None:
    assert flat(read(**environ))[name] == value


def test_the_bucket_by_its_name_in_the_specification() -> None:
    assert Settings.from_environ({"DATA_LAKE_BUCKET": "their-lake"}).lake_bucket == "their-lake"


@pytest.mark.parametrize("variable", sorted(variable_names() | old_variable_names()))
def test_no_other_name_is_read_bare(variable: str) -> None:
    bare = variable.removeprefix("CRMBET_")
    if bare in SPECIFICATION_NAMES.values():
        with pytest.raises(BadSetting, match=f"^{bare} has a bad value"):
            read(**{bare: "?"})
    else:
        assert read(**{bare: "?", bare.lower(): "?"}) == read()


ZONES = ("", " ", "UTC", " Europe/Lisbon ", "Brasilia", "../etc/passwd", "America/Sao_Paulo")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", ["CRMBET_OPERATOR_TIMEZONE", "OPERATOR_TIMEZONE"])
def test_settings_and_schedule_agree_on_the_zone(name: str, zone: str) -> None:
    def outcome(ask: Callable[[], str]) -> str:
        try:
            return ask()
        except BadSetting as failure:
            return failure.what

    environ = ENOUGH | {name: zone}
    scheduled = outcome(lambda: operator_timezone(environ))

    assert scheduled == outcome(lambda: Settings.from_environ(environ).operator_timezone)
    if name == "OPERATOR_TIMEZONE":
        assert scheduled == "America/Sao_Paulo", "no name of the specification"


@pytest.mark.parametrize(("old", "new"), sorted(OLD_NAMES.items()))
def test_an_old_name_is_read_with_a_warning(old: str, new: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = read(**{variable_name(old): "0.5"})

    assert flat(settings)[new] == 0.5
    assert [record.getMessage() for record in caplog.records] == [
        f"{variable_name(old)} is an old name, which the next release will not read: use {variable_name(new)}"
    ]
    assert flat(read(**{variable_name(old): "0.5", variable_name(new): "0.75"}))[new] == 0.75
    with pytest.raises(BadSetting, match=f"{variable_name(old)} has a bad value"):
        read(**{variable_name(old): "much"})


def test_present_names_bring_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    read(MAX_OUTLIER_PERCENTAGE="0.1", CRMBET_MAX_ORPHAN_SHARE="0.2", CRMBET_MAX_ORPHAN_PERCENTAGE=" ")

    assert caplog.records == []


def test_foreign_variables_are_left_alone() -> None:
    assert read(PATH="/bin", CRMBET_SOURCE_URL="postgresql://x") == read()


def test_every_setting_has_a_variable_and_says_what_it_is() -> None:
    assert variable_names() == {f"CRMBET_{name.upper()}" for name in SETTINGS}
    assert all(field.description for field in SETTINGS.values())


def test_no_two_settings_have_one_name_and_no_old_name_is_one() -> None:
    tops = len(Settings.model_fields) - len(GROUPS)

    assert len(SETTINGS) == tops + sum(len(group.model_fields) for group in GROUPS.values())
    assert not SETTINGS.keys() & (OLD_NAMES.keys() | GROUPS.keys())
    assert {*SPECIFICATION_NAMES, *OLD_NAMES.values()} <= SETTINGS.keys()


def test_settings_are_frozen_and_take_nothing_unknown() -> None:
    settings = read()

    with pytest.raises(ValidationError, match="frozen"):
        settings.quality.max_psi = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="max_pis"):
        Settings.of(lake_bucket="lake", max_pis=1)
    with pytest.raises(ValidationError, match="max_pis"):
        Settings(lake_bucket="lake", quality={"max_pis": 1})


def test_the_constructor_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRMBET_BRAND", "BRAND", "QUALITY", "CRMBET_QUALITY"):
        monkeypatch.setenv(name, "?")

    assert Settings(lake_bucket="lake") == Settings.of(lake_bucket="lake") == read(CRMBET_QUALITY="{}")


def test_a_run_sets_thresholds_for_itself() -> None:
    settings = read().with_thresholds({"max_psi": 0.4, "min_rows_per_day": 10})

    assert settings == Settings.of(lake_bucket="lake", max_psi=0.4, min_rows_per_day=10)
    assert THRESHOLDS[0] == "min_data_completeness"


def test_a_run_may_use_the_old_names_of_thresholds(caplog: pytest.LogCaptureFixture) -> None:
    settings = read().with_thresholds({"min_data_freshness_hours": 48, "max_orphan_percentage": 0.5})

    assert settings == Settings.of(lake_bucket="lake", max_data_age_hours=48, max_orphan_share=0.5)
    warnings = sorted(record.getMessage() for record in caplog.records)
    assert [warning.split()[0] for warning in warnings] == [
        "max_orphan_percentage",
        "min_data_freshness_hours",
    ]
    assert warnings[1].endswith("use max_data_age_hours")


@pytest.mark.parametrize(
    ("thresholds", "named"),
    [
        ({"max_pis": 0.4}, "unknown threshold 'max_pis'"),
        ({"lock_timeout_seconds": 1}, "unknown threshold 'lock_timeout_seconds'"),
        ({"min_profile_players": 10}, "unknown threshold 'min_profile_players'"),
        ({"max_orphan_share": 5}, "max_orphan_share: "),
        ({"max_orphan_percentage": 5}, "max_orphan_share: "),
    ],
)
def test_a_bad_threshold_of_a_run_is_named(thresholds: dict[str, float], named: str) -> None:
    with pytest.raises(BadParam, match=named):
        read().with_thresholds(thresholds)


@pytest.mark.parametrize("name", MINUTES)
@pytest.mark.parametrize(
    "value", ["", "  ", "1", "45", " 45 ", "10080", "0", "-5", "2h", "90.5", "10081", "forever", "Hunter2"]
)
def test_settings_and_dags_agree_on_how_long_an_operation_may_take(name: str, value: str) -> None:
    environ = {"CRMBET_LAKE_BUCKET": "my-lake", f"CRMBET_{name.upper()}": value}

    def outcome(read: Callable[[], timedelta]) -> timedelta | str:
        try:
            return read()
        except BadSetting as refused:
            return refused.what.partition(":")[0]

    scheduled = outcome(lambda: time_limit(environ, name))
    assert scheduled == outcome(
        lambda: timedelta(minutes=getattr(Settings.from_environ(environ).timeouts, name))
    )
    if isinstance(scheduled, str):
        assert scheduled == f"CRMBET_{name.upper()} has a bad value"
    if not value.strip():
        assert scheduled == timedelta(minutes=MINUTES[name])


@pytest.mark.parametrize("name", ["CRMBET_QUALITY_STRICT", "QUALITY_STRICT"])
@pytest.mark.parametrize(
    ("limit", "value", "is_looser"),
    [
        ("CRMBET_MIN_DATA_COMPLETENESS", "0.94", True),
        ("CRMBET_MIN_DATA_COMPLETENESS", "0.99", False),
        ("MAX_OUTLIER_PERCENTAGE", "0.06", True),
        ("CRMBET_MAX_OUTLIER_SHARE", "0.01", False),
        ("CRMBET_MAX_DUPLICATE_SHARE", "0.03", True),
        ("CRMBET_MAX_DATA_AGE_HOURS", "25", True),
        ("MIN_DATA_FRESHNESS_HOURS", "12", False),
        ("CRMBET_MAX_PSI", "0.9", False),
    ],
)
def test_strict_limits_cannot_be_looser_than_the_specifications(
    name: str, limit: str, value: str, is_looser: bool
) -> None:
    environ = {name: "true", limit: value}
    if is_looser:
        with pytest.raises(BadSetting, match=r"CRMBET_QUALITY_STRICT is set, and CRMBET_M.* is looser"):
            read(**environ)
    else:
        assert read(**environ).quality.quality_strict

    assert not read(**{limit: value}).quality.quality_strict


def test_a_strict_run_cannot_loosen_its_thresholds() -> None:
    with pytest.raises(BadParam, match="MAX_OUTLIER_SHARE is looser than the original specification"):
        read(QUALITY_STRICT="true").with_thresholds({"max_outlier_share": 0.2})
    with pytest.raises(BadParam, match="unknown threshold 'quality_strict'"):
        read().with_thresholds({"quality_strict": 1})
