"""Settings of a deployment, read from environment variables `CRMBET_<NAME>`.

Only what differs between deployments lives here; what differs between runs is a DAG param, and what describes data is
a contract. The names of the seed document (`MIN_DATA_COMPLETENESS`, ...) are also read bare, after the prefixed ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crmbet.failures import BadParam, BadSetting

PREFIX = "CRMBET_"
SEED_NAMES = {"lake_bucket": "DATA_LAKE_BUCKET"}
"""Settings whose bare fallback has another name in the seed document than ours."""

THRESHOLDS = (
    "min_data_completeness",
    "max_outlier_percentage",
    "max_duplicate_percentage",
    "max_quarantine_percentage",
    "max_unreadable_percentage",
    "min_data_freshness_hours",
    "min_rows_per_day",
    "min_volume_ratio",
    "max_snapshot_age_days",
    "max_orphan_percentage",
    "max_overdrawn_percentage",
    "max_psi",
    "max_ks_distance",
    "max_quartile_shift",
    "max_variance_ratio",
    "max_skew_shift",
    "max_feature_correlation",
    "min_feature_fill",
    "max_feature_magnitude",
    "max_feature_cardinality",
    "max_class_share",
    "min_usable_features",
)
"""Settings of the quality gates, which a run may set for itself (param `thresholds`)."""

BYTES = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
MEMORY = re.compile(rf"(?P<number>[1-9]\d*(\.\d+)?)\s*(?P<unit>{'|'.join(BYTES)})")

Share = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[Decimal, Field(gt=0, max_digits=14, decimal_places=2)]


class Settings(BaseModel):
    """Every setting, typed, with its default. Frozen: a run reads its settings once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lake_bucket: str = Field(
        min_length=3, description="Bucket that holds the lake's feeds and everything we write."
    )
    raw_prefix: str = Field("raw/", description="Where the feeds lie in the bucket. Never written.")
    brand: str = Field(
        "default", description="Operator's brand: part of our prefix, one feature table a brand."
    )
    operator_timezone: str = Field(
        "America/Sao_Paulo", description="IANA zone whose midnights bound the days."
    )

    min_data_completeness: Share = Field(
        0.95, description="Least share of filled values in a required column."
    )
    max_outlier_percentage: Share = Field(0.05, description="Largest share of outliers (0.05 is 5%).")
    max_duplicate_percentage: Share = Field(0.02, description="Largest share of duplicate business keys.")
    max_quarantine_percentage: Share = Field(
        0.05, description="Largest share of rows that break the contract."
    )
    max_unreadable_percentage: Share = Field(
        0.0, description="Largest share of a delivery's objects that cannot be read and are set aside."
    )
    min_data_freshness_hours: float = Field(
        24, gt=0, description="Age in hours, before as_of, that a source's newest fact may have."
    )
    min_rows_per_day: int = Field(
        1, ge=0, description="Fewest rows that a required source must bring for the day."
    )
    min_volume_ratio: Share = Field(
        0.5,
        description="Least share of its usual rows of that weekday that a source must bring, beyond chance.",
    )
    max_snapshot_age_days: int = Field(
        8, ge=0, description="Days before as_of that a source's newest snapshot may be old."
    )
    max_orphan_percentage: Share = Field(
        0.05, description="Largest share of a day's players that the players' snapshot does not know."
    )
    max_overdrawn_percentage: Share = Field(
        0.05,
        description="Largest share of new players, of those who took out money without bonus bets, who took too much.",
    )
    max_psi: float = Field(
        0.25, gt=0, description="Population stability index against the baseline from which on a check fails."
    )
    max_ks_distance: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Kolmogorov-Smirnov distance from the baseline from which on a check fails.",
    )
    max_quartile_shift: float = Field(
        0.5,
        gt=0,
        description="Largest move of a quartile in interquartile ranges of the baseline, on plain and log scale.",
    )
    max_variance_ratio: float = Field(
        2, ge=1, description="Largest ratio of variances, now and in the baseline, on a log scale."
    )
    max_skew_shift: float = Field(
        1, gt=0, description="Largest difference of skewness, now and in the baseline, on a log scale."
    )
    max_feature_correlation: Share = Field(
        0.98, description="Largest absolute correlation of two features, on a log scale."
    )
    min_profile_players: int = Field(
        200, ge=2, description="Fewest players of whom readiness for models and outliers are judged."
    )
    min_profile_days: int = Field(
        90,
        ge=1,
        description="Days that the oldest player is one before they are judged: windows fill until then.",
    )
    min_feature_fill: Share = Field(0.01, description="Least share of players that a feature is filled for.")
    max_feature_magnitude: float = Field(1e9, gt=0, description="Largest absolute value of a feature.")
    max_feature_cardinality: int = Field(
        100, ge=2, description="Most values that a feature in words may have."
    )
    max_class_share: Share = Field(
        0.99, description="Largest share of players in one class of a feature in words."
    )
    min_usable_features: int = Field(
        45,
        ge=1,
        description="Fewest features that a model could use: neither constant nor sparse, and finite.",
    )

    max_source_shrink: Share = Field(
        0.10, description="Share of its rows that a chunk may lose before we stop."
    )
    verify_days: int = Field(
        45,
        ge=1,
        description="Days of PostgreSQL before as_of that every run compares; older ones take turns.",
    )

    ticket_low: Money = Field(Decimal(50), description="ticket_medio below this is 'baixo'.")
    ticket_high: Money = Field(
        Decimal(500), description="ticket_medio below this, and not 'baixo', is 'medio'."
    )

    adult_age: int = Field(
        18, ge=16, le=30, description="Age in years from which a player may be written to."
    )
    rg_min_cohort: int = Field(
        20, ge=2, description="Fewest players from whom a responsible-gambling threshold is taken."
    )
    rg_band_medium: Share = Field(0.2, description="rg_risk_score from which rg_risk_band is 'medium'.")
    rg_band_high: Share = Field(0.4, description="rg_risk_score from which rg_risk_band is 'high'.")
    clv_margin: Share = Field(0.10, description="Share of a deposit that is earned, in clv_12m.")
    clv_monthly_discount_rate: Share = Field(0.01, description="Discount a month, in clv_12m (0.01 is 1%).")
    min_model_cohort: int = Field(
        100, ge=1, description="Fewest players active on two days or more that a model is fitted on."
    )
    min_calibration_users: int = Field(
        500, ge=1, description="Fewest players in the holdout that churn_risk_score is calibrated on."
    )

    backup_retention_days: int = Field(30, ge=1, description="Days that a backup of the target is kept.")
    backup_retention_count: int = Field(35, ge=1, description="Newest backups that are kept.")
    gone_users: Literal["keep", "mark", "delete"] = Field(
        "mark", description="What a merge does with players whom the sources do not know any more."
    )
    max_table_shrink: Share = Field(
        0.10,
        description="Share of its players that the table may lose in one load, deleted or marked as gone.",
    )
    lock_timeout_seconds: int = Field(600, ge=1, description="How long a load waits for another run's load.")

    run_retention_days: int = Field(
        400, ge=1, description="Days that a run's manifests, and all that they name, are kept on S3."
    )
    sweep_grace_days: int = Field(
        7,
        ge=1,
        description="Days that an object is kept although no manifest names it: a run may be writing it.",
    )

    memory_limit: str = Field(
        "2GB", description="Memory of the data engine in one task, such as 512MB or 4GB."
    )
    threads: int = Field(2, ge=1, le=256, description="Threads of the data engine in one task.")
    spill_directory: str = Field("", description="Where the engine spills; empty: a temporary folder a task.")

    @property
    def memory_bytes(self) -> int:
        """`memory_limit` as a number."""
        size = MEMORY.fullmatch(self.memory_limit)
        if size is None:
            raise AssertionError("memory_limit has been validated")
        return int(float(size["number"]) * BYTES[size["unit"]])

    @field_validator("brand")
    @classmethod
    def _brand_is_a_path_segment(cls, brand: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", brand):
            raise ValueError("use lower-case letters, digits, '-' and '_', at most 40")
        return brand

    @field_validator("raw_prefix")
    @classmethod
    def _raw_prefix_is_a_folder(cls, prefix: str) -> str:
        if not re.fullmatch(r"([A-Za-z0-9._=-]+/)*", prefix):
            raise ValueError("use folder names that end with '/', such as raw/ or lake/raw/")
        if prefix.startswith("crmbet/"):
            raise ValueError("crmbet/ is where we write: the source must lie elsewhere")
        return prefix

    @field_validator("operator_timezone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("not an IANA time zone such as America/Sao_Paulo") from error
        return zone

    @field_validator("memory_limit")
    @classmethod
    def _memory_has_a_unit(cls, limit: str) -> str:
        if not MEMORY.fullmatch(limit):
            raise ValueError("use a number and a unit, such as 512MB or 4GB")
        return limit

    @model_validator(mode="after")
    def _cut_offs_are_ordered(self) -> Settings:
        if self.ticket_low >= self.ticket_high:
            raise ValueError(f"{PREFIX}TICKET_LOW must be below {PREFIX}TICKET_HIGH")
        if self.rg_band_medium >= self.rg_band_high:
            raise ValueError(f"{PREFIX}RG_BAND_MEDIUM must be below {PREFIX}RG_BAND_HIGH")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        """The operator's zone."""
        return ZoneInfo(self.operator_timezone)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Settings:
        """The settings with thresholds of the quality gates as a run wants them.

        Raises `BadParam` that names every unknown or bad one.
        """
        faults = [f"unknown threshold {name!r}" for name in thresholds if name not in THRESHOLDS]
        if not faults:
            try:
                return type(self).model_validate({**self.model_dump(), **thresholds})
            except ValidationError as error:
                faults = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
        raise BadParam(
            f"the param thresholds is wrong: {'; '.join(faults)}",
            where="the configuration that the run was triggered with",
            next_step=f"trigger again with thresholds among {', '.join(THRESHOLDS)}",
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables.

        Raises `BadSetting` that names every variable at fault; no value is repeated, since it may be a secret that
        was put into the wrong variable.
        """
        found: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for name in cls.model_fields:
            for variable in (PREFIX + name.upper(), SEED_NAMES.get(name, name.upper())):
                value = environ.get(variable, "").strip()
                if value:
                    found[name] = value
                    origin[name] = variable
                    break
        try:
            return cls(**found)
        except ValidationError as error:
            raise BadSetting(
                "; ".join(_explain(fault, origin) for fault in error.errors()),
                where="the environment of the Airflow worker",
                next_step="correct the variable (docs/deployment.md lists all of them) and clear the task",
            ) from None


def variable_names() -> frozenset[str]:
    """The environment variables that are read as settings, with our prefix."""
    return frozenset(PREFIX + name.upper() for name in Settings.model_fields)


def _explain(fault: Any, origin: Mapping[str, str]) -> str:
    if not fault["loc"]:
        return f"two settings contradict each other: {fault['msg'].removeprefix('Value error, ')}"
    name = str(fault["loc"][0])
    variable = origin.get(name, PREFIX + name.upper())
    if fault["type"] == "missing":
        return f"{variable} is not set"
    return f"{variable} has a bad value: {fault['msg'].removeprefix('Value error, ')}"
