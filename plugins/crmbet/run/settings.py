"""Settings of a deployment, read from environment variables `CRMBET_<NAME>`.

A setting belongs here if it differs between deployments. What differs between runs is a param of the DAG
(`crmbet.run.params`); what describes data is a contract.

Settings are in groups: `settings.quality.max_psi`. The name of a variable leaves the group out: `CRMBET_MAX_PSI`. So
no two settings have one name, and `Settings.of(max_psi=0.4)` takes every setting by its flat name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from crmbet.failures import BadParam, BadSetting
from crmbet.run.schedule import (
    CONNECTIONS,
    DAILY,
    DEFAULT_TIMEZONE,
    LONGEST_MINUTES,
    MINUTES,
    MOST_SHARDS,
    RAW_PREFIX,
    WEEKLY,
    checked_daily_schedule,
    checked_questions,
    checked_topics,
    checked_weekly_schedule,
    checked_zone,
)
from crmbet.run.schemas import DEFAULT_SCHEMA, checked_schema
from crmbet.texts import DEFAULT_LANGUAGE, Language

PREFIX = "CRMBET_"
PROJECT = Path(__file__).parents[3]
"""The folder that holds plugins/, include/ and config/."""

SPECIFICATION_NAMES = {
    "lake_bucket": "DATA_LAKE_BUCKET",
    "min_data_completeness": "MIN_DATA_COMPLETENESS",
    "max_outlier_share": "MAX_OUTLIER_PERCENTAGE",
    "max_data_age_hours": "MIN_DATA_FRESHNESS_HOURS",
    "backup_retention_days": "BACKUP_RETENTION_DAYS",
    "quality_strict": "QUALITY_STRICT",
}
"""Variables without a prefix: those of the original specification, and the one that asks for its limits to the letter.
Each is read if none of our own names is set."""

OLD_NAMES = {
    "max_outlier_percentage": "max_outlier_share",
    "max_duplicate_percentage": "max_duplicate_share",
    "max_quarantine_percentage": "max_quarantine_share",
    "max_unreadable_percentage": "max_unreadable_share",
    "max_orphan_percentage": "max_orphan_share",
    "max_overdrawn_percentage": "max_overdrawn_share",
    "min_data_freshness_hours": "max_data_age_hours",
}
"""Settings that were renamed. The old names are read for one more release, with a warning in the log."""

BYTES = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
MEMORY = re.compile(rf"(?P<number>[1-9]\d*(\.\d+)?)\s*(?P<unit>{'|'.join(BYTES)})")

Share = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[Decimal, Field(gt=0, max_digits=14, decimal_places=2)]

Price = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=8)]

Value = TypeVar("Value")

log = logging.getLogger(__name__)


class _Group(BaseModel):
    """Settings that belong together."""

    # A refused value may be a secret that somebody put into the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourceSettings(_Group):
    """Where the sources are, and how closely a run looks at what they held before."""

    raw_prefix: str = Field(
        default=RAW_PREFIX, description="Folder of the feeds in the bucket. We never write there."
    )
    contracts_directory: str = Field(
        default="",
        description=(
            "Folder of source contracts that take the place of ours of the same name. If empty, ours alone count."
        ),
    )
    max_source_shrink: Share = Field(
        default=0.10, description="Share of its rows that a chunk may lose. If it loses more, the run stops."
    )
    verify_days: int = Field(
        default=45,
        ge=1,
        description=(
            "Days of PostgreSQL before as_of that every run compares with what was captured. Older days take turns."
        ),
    )

    @field_validator("raw_prefix")
    @classmethod
    def _raw_prefix_is_a_folder(cls, prefix: str) -> str:
        if not re.fullmatch(r"([A-Za-z0-9._=-]+/)*", prefix):
            raise ValueError("use folder names that end with '/', such as raw/ or lake/raw/")
        if prefix.startswith("crmbet/"):
            raise ValueError("we write below crmbet/, so the feeds must be in another folder")
        return prefix


def _connection(name: str, description: str) -> Any:
    return Field(default=CONNECTIONS[name], pattern=r"^[A-Za-z0-9_.-]{1,200}$", description=description)


class ConnectionSettings(_Group):
    """The ids of the Airflow connections."""

    lake_connection: str = _connection("lake", "Id of the Airflow connection of the lake.")
    source_connection: str = _connection(
        "source", "Id of the Airflow connection of the database with the transactions."
    )
    target_connection: str = _connection(
        "target", "Id of the Airflow connection of the database with the feature table."
    )
    stream_connection: str = _connection("stream", "Id of the Airflow connection of Kafka.")
    monitoring_connection: str = _connection(
        "monitoring",
        "Id of the Airflow connection by which the monitoring page reads the target. If there is none, it uses that "
        "of the target.",
    )
    privacy_connection: str = _connection(
        "privacy",
        "Id of the Airflow connection by which the form for erasures writes requests into the target. No other "
        "connection takes its place.",
    )


class QualitySettings(_Group):
    """Limits of the quality checks, and from how much data on some of them are applied."""

    quality_strict: bool = Field(
        default=False,
        description=(
            "Apply the limits of the original specification to the letter: "
            "no margin for chance, no delivered row without its key, and no looser limit."
        ),
    )
    min_data_completeness: Share = Field(
        default=0.95, description="Smallest share of rows that have a value in a required column."
    )
    max_outlier_share: Share = Field(default=0.05, description="Largest share of outliers (0.05 is 5%).")
    max_duplicate_share: Share = Field(default=0.02, description="Largest share of duplicate business keys.")
    max_quarantine_share: Share = Field(
        default=0.05, description="Largest share of rows that break the contract."
    )
    max_discarded_share: Share = Field(
        default=0.05,
        description="Largest share of rows with a value that is there, cannot be read and is left out.",
    )
    max_unreadable_protection_share: Share = Field(
        default=0.0,
        description=(
            "Largest share of rows of players and limits with something unreadable where a protection may stand. "
            "Players whom they name count as protected whatever this is."
        ),
    )
    max_unreadable_share: Share = Field(
        default=0.0,
        description=(
            "Largest share of the delivered objects that may be unreadable. They are set aside. "
            "An object that is like no delivery of its feed does not count."
        ),
    )
    max_passed_over_share: Share = Field(
        default=0.5,
        description=(
            "Largest share of a feed's objects that may be passed over because no format has their ending. "
            "Hidden, unfinished and empty ones do not count."
        ),
    )
    max_data_age_hours: float = Field(
        default=24, gt=0, description="How old a source's newest fact may be, in hours before as_of."
    )
    min_rows_per_day: int = Field(
        default=1, ge=0, description="Smallest number of rows that a required source brings for the day."
    )
    min_volume_ratio: Share = Field(
        default=0.5,
        description=(
            "Smallest ratio of a source's rows to what it usually brings on that weekday. "
            "A difference that may be chance does not count."
        ),
    )
    max_snapshot_age_days: int = Field(
        default=8, ge=0, description="How old a source's newest snapshot may be, in days before as_of."
    )
    max_orphan_share: Share = Field(
        default=0.05, description="Largest share of a day's players who are not in the players' snapshot."
    )
    max_overdrawn_share: Share = Field(
        default=0.05,
        description=(
            "Among new players who took out money and placed no bonus bets: "
            "largest share who took out more than they brought and won."
        ),
    )
    max_psi: float = Field(
        default=0.25,
        gt=0,
        description=(
            "A drift check fails if the population stability index against the baseline is this or more."
        ),
    )
    max_ks_distance: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="A drift check fails if the Kolmogorov-Smirnov distance to the baseline is this or more.",
    )
    max_quartile_shift: float = Field(
        default=0.5,
        gt=0,
        description=(
            "How far a quartile may move from the baseline, in interquartile ranges of the baseline, "
            "on the plain scale and on a log scale."
        ),
    )
    max_variance_ratio: float = Field(
        default=2,
        ge=1,
        description="Largest ratio between the variances of now and of the baseline, on a log scale.",
    )
    max_skew_shift: float = Field(
        default=1,
        gt=0,
        description="Largest difference between the skewness of now and of the baseline, on a log scale.",
    )
    max_feature_correlation: Share = Field(
        default=0.98, description="Largest absolute correlation of two features, on a log scale."
    )
    min_profile_players: int = Field(
        default=200,
        ge=2,
        description=(
            "Readiness for models, correlation, drift and outliers are judged "
            "only from this number of players on."
        ),
    )
    min_profile_days: int = Field(
        default=90,
        ge=1,
        description=(
            "The same checks wait until the oldest player has been one for this many days, "
            "because the windows of the features are not full before."
        ),
    )
    min_feature_fill: Share = Field(
        default=0.01, description="Smallest share of players for whom a feature has a value."
    )
    max_feature_magnitude: float = Field(
        default=1e9, gt=0, description="Largest absolute value of a feature."
    )
    max_feature_cardinality: int = Field(
        default=100, ge=2, description="Largest number of different values of a text feature."
    )
    max_class_share: Share = Field(
        default=0.99, description="Largest share of players who have the same value of a text feature."
    )
    min_usable_features: int = Field(
        default=45,
        ge=1,
        description=(
            "Smallest number of features that a model could use: not constant, not sparse, all values finite."
        ),
    )

    @model_validator(mode="after")
    def _strict_limits_are_kept(self) -> Self:
        looser = {
            "min_data_completeness": self.min_data_completeness < 0.95,
            "max_outlier_share": self.max_outlier_share > 0.05,
            "max_duplicate_share": self.max_duplicate_share > 0.02,
            "max_data_age_hours": self.max_data_age_hours > 24,
        }
        if self.quality_strict and any(looser.values()):
            names = ", ".join(PREFIX + name.upper() for name, is_looser in looser.items() if is_looser)
            raise ValueError(
                f"{PREFIX}QUALITY_STRICT is set, and {names} is looser than the original specification"
            )
        return self


class FeatureSettings(_Group):
    """Where the features draw their lines."""

    ticket_low: Money = Field(default=Decimal(50), description="A ticket_medio below this is 'baixo'.")
    ticket_high: Money = Field(
        default=Decimal(500), description="A ticket_medio below this that is not 'baixo' is 'medio'."
    )
    adult_age: int = Field(
        default=18,
        ge=16,
        le=30,
        description="Age in years from which a player may register, and marketing may write to them.",
    )

    @model_validator(mode="after")
    def _ticket_bounds_are_ordered(self) -> Self:
        if self.ticket_low >= self.ticket_high:
            raise ValueError(f"{PREFIX}TICKET_LOW must be below {PREFIX}TICKET_HIGH")
        return self


class ResponsibleGamblingSettings(_Group):
    """How the responsible-gambling markers become a band."""

    rg_min_cohort: int = Field(
        default=20,
        ge=2,
        description="With fewer players to take it from, a responsible-gambling marker gets no cut-off.",
    )
    rg_band_medium: Share = Field(
        default=0.2, description="From this rg_risk_score on, rg_risk_band is 'medium'."
    )
    rg_band_high: Share = Field(
        default=0.4, description="From this rg_risk_score on, rg_risk_band is 'high'."
    )

    rg_live_session_minutes: int = Field(
        default=180,
        ge=1,
        description="From so many minutes from its first to its last bet on, a session under way is a live marker.",
    )
    rg_live_session_deposits: int = Field(
        default=3, ge=1, description="From so many deposits on, a session under way is a live marker."
    )

    @model_validator(mode="after")
    def _bands_are_ordered(self) -> Self:
        if self.rg_band_medium >= self.rg_band_high:
            raise ValueError(f"{PREFIX}RG_BAND_MEDIUM must be below {PREFIX}RG_BAND_HIGH")
        return self


class ModelSettings(_Group):
    """What the fitted models assume, and how many players they need."""

    clv_margin: Share = Field(
        default=0.10, description="Share of a deposit that the operator earns, for clv_12m."
    )
    clv_monthly_discount_rate: Share = Field(
        default=0.01, description="Discount per month, for clv_12m (0.01 is 1%)."
    )
    min_model_cohort: int = Field(
        default=100,
        ge=1,
        description="Smallest number of players, active on two days or more, that a model is fitted on.",
    )
    min_calibration_users: int = Field(
        default=500,
        ge=1,
        description="Smallest number of players in the holdout that churn_risk_score is calibrated on.",
    )


class LoadSettings(_Group):
    """What a load may do to the target."""

    gone_users: Literal["keep", "mark", "delete"] = Field(
        default="mark", description="What a merge does with players whom the sources no longer know."
    )
    max_table_shrink: Share = Field(
        default=0.10,
        description="Share of its players that the table may lose in one load, deleted or marked as gone.",
    )
    max_segment_jump_share: Share = Field(
        default=0.25,
        description="Share of its players by which a segment may grow or shrink in a day before a message says so.",
    )
    lock_timeout_seconds: int = Field(
        default=600, ge=1, description="How long a load waits for the load of another run."
    )


def checked_users(given: str) -> str:
    """Return ids or names of users as they are. Raises `ValueError`."""
    if not all(re.fullmatch(r"[A-Za-z0-9@._+-]{1,64}", user) for user in given.split()):
        raise ValueError("use ids of users, with blanks between them")
    return given


class ApprovalSettings(_Group):
    """When a person is asked before a load, and who may answer."""

    ask_on: str = Field(
        default="",
        description=(
            "When a run asks a person before it loads: replace, loss, or severities of failed checks, with blanks. "
            "Empty: there is no such task."
        ),
    )
    approvers: str = Field(
        default="",
        description=(
            "Ids of the users who may answer, with blanks between. "
            "Empty: everybody who may answer a required action of the DAG."
        ),
    )

    @field_validator("ask_on")
    @classmethod
    def _words_are_known(cls, given: str) -> str:
        checked_questions(given)
        return given

    @field_validator("approvers")
    @classmethod
    def _ids_are_plain(cls, given: str) -> str:
        return checked_users(given)

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked for."""
        return checked_questions(self.ask_on)


class AudienceSettings(_Group):
    """What is handed over to the CRM."""

    audiences_folder: str = Field(
        default="",
        description=(
            "Folder of the audiences that each run hands over to the CRM, such as config/audiences. "
            "Empty: there is no such task."
        ),
    )

    @property
    def folder(self) -> Path:
        """Where the audiences are. A relative path begins at the project, and in a container at Airflow's folder."""
        return PROJECT / self.audiences_folder


class StreamSettings(_Group):
    """Which topics of Kafka the stream reads, and in which portions."""

    stream_topics: str = Field(
        default="",
        description=(
            "The topic of each source that the stream reads, such as `bets=casino.bets transactions=cashier`. "
            "Empty: there is no stream."
        ),
    )
    stream_batch_seconds: float = Field(
        default=2,
        gt=0,
        le=60,
        description="The longest time for which a batch of the stream gathers messages.",
    )
    stream_batch_messages: int = Field(
        default=20_000, ge=1, le=1_000_000, description="The most messages in a batch of the stream."
    )
    max_stream_age_seconds: float = Field(
        default=300,
        gt=0,
        description=(
            "How many seconds old a message may be when its live row is committed. "
            "A run whose rows become older ends, and a message says so."
        ),
    )

    @field_validator("stream_topics")
    @classmethod
    def _topics_are_readable(cls, given: str) -> str:
        checked_topics(given)
        return given

    @property
    def topics(self) -> dict[str, str]:
        """Topics by source."""
        return checked_topics(self.stream_topics)


class RetentionSettings(_Group):
    """How long backups and runs are kept."""

    backup_retention_days: int = Field(
        default=30,
        ge=1,
        description=(
            "A backup of the target is dropped when it is older than this many days. "
            "The newest is always kept."
        ),
    )
    backup_retention_count: int = Field(
        default=35, ge=1, description="No more than this many backups of the target are kept."
    )
    run_retention_days: int = Field(
        default=400,
        ge=1,
        description="Days that the manifests of a run, and all that they name, are kept on S3.",
    )
    sweep_grace_days: int = Field(
        default=7,
        ge=1,
        description=(
            "Days that an object is kept although nothing needs it: a run may be writing it, or may be tried again."
        ),
    )


class ErasureSettings(_Group):
    """When players may be erased, and by when they must be."""

    legal_retention_days: int | None = Field(
        default=None,
        ge=0,
        le=36_500,
        description=(
            "Days after a player's last activity for which the law demands to keep the player's facts. A request for "
            "erasure waits until then. Empty: there is no such demand."
        ),
    )
    erasure_deadline_days: int = Field(
        default=15,
        ge=1,
        le=365,
        description="A request for erasure that is not fulfilled after so many days is overdue, which an alert says.",
    )
    privacy_officers: str = Field(
        default="",
        description=(
            "Names of the users of Airflow who may ask for erasures by the form, with blanks between. "
            "Empty: nobody may."
        ),
    )

    @field_validator("privacy_officers")
    @classmethod
    def _names_are_plain(cls, given: str) -> str:
        return checked_users(given)

    @property
    def officers(self) -> frozenset[str]:
        """The users who may use the form."""
        return frozenset(self.privacy_officers.split())


class CostSettings(_Group):
    """What is paid for, so that runs can be priced (docs/costs.md has the sources of the defaults)."""

    price_currency: str = Field(
        default="USD",
        pattern=r"^[A-Z]{3}$",
        description="Currency of the prices, by its three letters of ISO 4217.",
    )
    price_vcpu_hour: Price = Field(
        default=Decimal("0.0504"), description="Price of a virtual processor for an hour, with its memory."
    )
    price_gb_month: Price = Field(
        default=Decimal("0.023"), description="Price of keeping a gigabyte (2^30 bytes) on S3 for a month."
    )
    price_1000_reads: Price = Field(
        default=Decimal("0.0004"), description="Price of 1,000 requests to S3 that read: GET and HEAD."
    )
    price_1000_writes: Price = Field(
        default=Decimal("0.005"),
        description="Price of 1,000 requests to S3 that write or list: PUT, COPY, POST and LIST.",
    )


class EngineSettings(_Group):
    """What the data engine may use in one task."""

    memory_limit: str = Field(
        default="2GB", description="Memory of the data engine in one task, such as 512MB or 4GB."
    )
    threads: int = Field(default=2, ge=1, le=256, description="Threads of the data engine in one task.")
    shards: int = Field(
        default=1,
        ge=1,
        le=MOST_SHARDS,
        description="Into how many parts the heavy steps are cut. The executor spreads them over its workers.",
    )
    spill_directory: str = Field(
        default="",
        description="Folder for what does not fit into memory. If empty, each task makes a temporary one.",
    )
    max_unpacked_size: str = Field(
        default="50GB",
        description=(
            "Largest size of an object of the lake once it is unpacked. A larger one is set aside, "
            "so keep this below the room in the spill directory."
        ),
    )
    max_unpacked_ratio: float = Field(
        default=200,
        ge=1,
        le=1_000_000,
        description=(
            "How many times its size an object of the lake may become when it is unpacked. "
            "One that becomes more, and more than 16 MiB, is set aside."
        ),
    )

    @property
    def memory_bytes(self) -> int:
        """`memory_limit` as a number."""
        return size_in_bytes(self.memory_limit)

    @field_validator("memory_limit", "max_unpacked_size")
    @classmethod
    def _size_has_a_unit(cls, limit: str) -> str:
        if not MEMORY.fullmatch(limit):
            raise ValueError("use a number and a unit, such as 512MB or 4GB")
        return limit


def _minutes(setting: str, description: str) -> Any:
    return Field(default=MINUTES[setting], ge=1, le=LONGEST_MINUTES, description=description)


class TimeoutSettings(_Group):
    """How long servers are waited for, and how long an operation may take."""

    connect_timeout_seconds: int = Field(
        default=10,
        ge=2,
        le=600,
        description="How long PostgreSQL and S3 may take to accept a connection, with the login, in seconds.",
    )
    answer_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description=(
            "How long S3 may take to answer or to go on, and how long PostgreSQL's machine may leave the network's "
            "packets unanswered, in seconds."
        ),
    )
    statement_timeout_seconds: int = Field(
        default=3600,
        ge=1,
        le=604_800,
        description="How long PostgreSQL may work on one statement, in seconds.",
    )
    idle_timeout_seconds: int = Field(
        default=1800,
        ge=1,
        le=604_800,
        description="How long a transaction of ours may do nothing before PostgreSQL ends it, in seconds.",
    )
    alert_timeout_seconds: int = Field(
        default=5,
        ge=1,
        le=20,
        description=(
            "How long Slack, mail and webhook together may take to accept an alert, in seconds. What has not "
            "answered by then is given up."
        ),
    )
    extract_timeout_minutes: int = _minutes(
        "extract_timeout_minutes",
        "Longest time of one try of extract_s3 and extract_pg of the daily run, in minutes.",
    )
    clean_timeout_minutes: int = _minutes(
        "clean_timeout_minutes", "Longest time of one try of clean, in minutes."
    )
    features_timeout_minutes: int = _minutes(
        "features_timeout_minutes", "Longest time of one try of engineer_features, in minutes."
    )
    validate_timeout_minutes: int = _minutes(
        "validate_timeout_minutes", "Longest time of one try of validate_raw and validate, in minutes."
    )
    backup_timeout_minutes: int = _minutes(
        "backup_timeout_minutes", "Longest time of one try of backup_table, in minutes."
    )
    load_timeout_minutes: int = _minutes(
        "load_timeout_minutes",
        "Longest time of one try of load_merge, with its wait for other loads, in minutes.",
    )
    approval_timeout_minutes: int = _minutes(
        "approval_timeout_minutes",
        "How long a person may take to answer before the load is rejected, in minutes.",
    )
    audiences_timeout_minutes: int = _minutes(
        "audiences_timeout_minutes", "Longest time of one try of publish_audiences, in minutes."
    )
    record_timeout_minutes: int = _minutes(
        "record_timeout_minutes", "Longest time of one try of record_run, in minutes."
    )
    weekly_timeout_minutes: int = _minutes(
        "weekly_timeout_minutes",
        "Longest time of one try of each task of the weekly run but record_run, in minutes.",
    )
    restore_timeout_minutes: int = _minutes(
        "restore_timeout_minutes", "Longest time of one try of restore_backup, in minutes."
    )
    erasure_timeout_minutes: int = _minutes(
        "erasure_timeout_minutes", "Longest time of one try of erase_players, in minutes."
    )
    stream_timeout_minutes: int = _minutes(
        "stream_timeout_minutes",
        "Longest time of one run of the stream, in minutes. It ends itself before, and the next one goes on.",
    )
    deadline_minutes: int = _minutes(
        "deadline_minutes",
        "A run that has not succeeded so many minutes after it was queued is late, which an alert says.",
    )


def size_in_bytes(size: str) -> int:
    """A size with a unit, such as 4GB, as a number. It has been validated."""
    parts = MEMORY.fullmatch(size)
    if parts is None:
        raise AssertionError(f"{size} has been validated")
    return int(float(parts["number"]) * BYTES[parts["unit"]])


class Settings(BaseSettings):
    """Every setting, typed, with its default. Frozen, because a run reads its settings once.

    Only `from_environ` reads an environment. The constructor and `of` take what they are given.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True
    )

    lake_bucket: str = Field(
        min_length=3, description="Bucket of the lake: the feeds are in it, and everything that we write."
    )
    brand: str = Field(
        default="default",
        description=(
            "The operator's brand. It is part of our prefix, and each brand has a feature table of its own."
        ),
    )
    target_schema: str = Field(
        default=DEFAULT_SCHEMA,
        description="Schema of the feature table and of all our tables beside it. Its roles are named after it.",
    )
    operator_timezone: str = Field(
        default=DEFAULT_TIMEZONE,
        description="IANA time zone. Days begin and end at its midnights.",
    )
    language: Language = Field(
        default=DEFAULT_LANGUAGE,
        description="Language of forms, alerts, quality reports and the monitoring page: en or pt-BR.",
    )
    daily_schedule: str = Field(
        default=DAILY,
        description="When the daily DAG starts, in the operator's zone: @daily, or as `30 4 * * *`.",
    )
    weekly_schedule: str = Field(
        default=WEEKLY, description="When the weekly DAG starts, in the operator's zone."
    )
    brands_directory: str = Field(
        default="",
        description=(
            "Folder of the brands' files. If empty, config/brands is read, if it is there. No file of a brand may "
            "name it."
        ),
    )
    connections: ConnectionSettings = Field(default_factory=ConnectionSettings)
    source: SourceSettings = Field(default_factory=SourceSettings)
    quality: QualitySettings = Field(default_factory=QualitySettings)
    features: FeatureSettings = Field(default_factory=FeatureSettings)
    responsible_gambling: ResponsibleGamblingSettings = Field(default_factory=ResponsibleGamblingSettings)
    models: ModelSettings = Field(default_factory=ModelSettings)
    load: LoadSettings = Field(default_factory=LoadSettings)
    approval: ApprovalSettings = Field(default_factory=ApprovalSettings)
    audiences: AudienceSettings = Field(default_factory=AudienceSettings)
    stream: StreamSettings = Field(default_factory=StreamSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    erasure: ErasureSettings = Field(default_factory=ErasureSettings)
    costs: CostSettings = Field(default_factory=CostSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)

    @field_validator("brand")
    @classmethod
    def _brand_is_a_path_segment(cls, brand: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", brand):
            raise ValueError("use lower-case letters, digits, '-' and '_', at most 40")
        return brand

    @field_validator("target_schema")
    @classmethod
    def _schema_can_be_ours(cls, schema: str) -> str:
        return checked_schema(schema)

    @field_validator("daily_schedule")
    @classmethod
    def _day_begins_once(cls, schedule: str) -> str:
        return checked_daily_schedule(schedule)

    @field_validator("weekly_schedule")
    @classmethod
    def _week_begins_once(cls, schedule: str) -> str:
        return checked_weekly_schedule(schedule)

    @field_validator("operator_timezone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        return checked_zone(zone)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The operator's zone."""
        return ZoneInfo(self.operator_timezone)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Make settings from values by their flat names, such as `max_psi=0.4`. The others have their defaults.

        Old names are taken too, with a warning. Raises pydantic's `ValidationError`.
        """
        return cls(**grouped(present_names(values)))

    def given(self) -> dict[str, Any]:
        """Return the settings that were given a value, by their flat names."""
        values: dict[str, Any] = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if isinstance(value, _Group):
                values |= {inner: getattr(value, inner) for inner in value.model_fields_set}
            else:
                values[name] = value
        return values

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        """Return the settings with the thresholds of the quality checks that a run sets for itself.

        Old names are taken too, with a warning. Raises `BadParam` that names every unknown or bad one.
        """
        thresholds = present_names(thresholds)
        faults = [f"unknown threshold {name!r}" for name in thresholds if name not in THRESHOLDS]
        if not faults:
            try:
                quality = QualitySettings.model_validate({**self.quality.model_dump(), **thresholds})
                return self.model_copy(update={"quality": quality})
            except ValidationError as error:
                faults = [": ".join([*map(str, fault["loc"]), fault["msg"]]) for fault in error.errors()]
        raise BadParam(
            f"the param thresholds is wrong: {'; '.join(faults)}",
            where="the configuration that the run was triggered with",
            next_step=f"trigger again with thresholds among {', '.join(THRESHOLDS)}",
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], file: str = "") -> Self:
        """Read the settings from environment variables, over which a brand's file may have been laid.

        Warns in the log of every variable that has an old name.

        Raises `BadSetting` that names every variable at fault. It repeats no value, because the value may be a secret
        that somebody put into the wrong variable.
        """
        for old, new in OLD_NAMES.items():
            if environ.get(variable_name(old), "").strip():
                _warn_of_old_name(variable_name(old), variable_name(new))
        variables = _Variables(cls, environ)
        try:
            return cls(**variables())
        except ValidationError as error:
            raise BadSetting(
                "; ".join(_explain(fault, variables.origin) for fault in error.errors()),
                where=f"{file}, and the environment of the Airflow worker"
                if file
                else "the environment of the Airflow worker",
                next_step="correct the variable (docs/deployment.md lists all of them) and clear the task",
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes it by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the process's own environment, which we leave alone
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor's arguments alone."""
        return (init_settings,)


class _Variables(PydanticBaseSettingsSource):
    """Reads `Settings` from an environment, whose variables are flat whatever group a setting is in."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environ = environ
        self.origin: dict[str, str] = {}
        """The variable that each setting was read from, by the setting's name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return a setting's value, None if it is not set, with the name of the variable. It is never JSON."""
        names = [field_name, *(old for old, new in OLD_NAMES.items() if new == field_name)]
        variables = [variable_name(name) for name in names]
        if field_name in SPECIFICATION_NAMES:
            variables.append(SPECIFICATION_NAMES[field_name])
        for variable in variables:
            if value := self._environ.get(variable, "").strip():
                return value, variable, False
        return None, variables[0], False

    def __call__(self) -> dict[str, Any]:
        """Return the values of all variables that are set, in groups."""
        found: dict[str, Any] = {}
        for name, field in SETTINGS.items():
            value, variable, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
                self.origin[name] = variable
        return grouped(found)


GROUPS: dict[str, type[_Group]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Group)
}
"""The groups of `Settings`, by the names of their fields."""

SETTINGS: dict[str, FieldInfo] = {
    name: field
    for top, top_field in Settings.model_fields.items()
    for name, field in (GROUPS[top].model_fields if top in GROUPS else {top: top_field}).items()
}
"""Every setting by its flat name."""

THRESHOLDS = tuple(
    name
    for name in QualitySettings.model_fields
    if name not in ("quality_strict", "min_profile_players", "min_profile_days")
)
"""Settings that a run may set for itself by the param `thresholds`, and that suites of expectations refer to."""


def grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put values that have flat names into groups. An unknown name stays at the top, where `Settings` refuses it."""
    placed: dict[str, Any] = {}
    for name, value in values.items():
        group = next((group for group, model in GROUPS.items() if name in model.model_fields), None)
        if group is None:
            placed[name] = value
        else:
            placed.setdefault(group, {})[name] = value
    return placed


def present_names(values: Mapping[str, Value]) -> dict[str, Value]:
    """Replace old names of settings by the present ones, with a warning. A value under a present name wins."""
    renamed = {}
    for old in OLD_NAMES.keys() & values.keys():
        _warn_of_old_name(old, OLD_NAMES[old])
        renamed[OLD_NAMES[old]] = values[old]
    return renamed | {name: value for name, value in values.items() if name not in OLD_NAMES}


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + setting.upper()


def variable_names() -> frozenset[str]:
    """The environment variables that are read as settings, by their present names with our prefix."""
    return frozenset(variable_name(setting) for setting in SETTINGS)


def old_variable_names() -> frozenset[str]:
    """The environment variables that are read for one more release."""
    return frozenset(variable_name(setting) for setting in OLD_NAMES)


def _warn_of_old_name(old: str, new: str) -> None:
    log.warning("%s is an old name, which the next release will not read: use %s", old, new)


def _explain(fault: Any, origin: Mapping[str, str]) -> str:
    name = str(fault["loc"][-1])
    if name not in SETTINGS:  # a group
        return f"two settings contradict each other: {fault['msg'].removeprefix('Value error, ')}"
    variable = origin.get(name, variable_name(name))
    if fault["type"] == "missing":
        return f"{variable} is not set"
    return f"{variable} has a bad value: {fault['msg'].removeprefix('Value error, ')}"
