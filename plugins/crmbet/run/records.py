"""What each task of a run used and made, written once as `<task>.json` in the run's folder.

Later tasks read manifests and nothing else: no listing, no clock, no guess. XCom carries a manifest's key and counts.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from crmbet.failures import PermanentFailure
from crmbet.storage.object_store import ObjectStore

UNDATED = "undated"
"""The day of rows whose event time cannot be read."""


class Record(BaseModel):
    """A frozen piece of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRecord(Record):
    """`run.json`: fixed by the run's first try, so that a retry days later is still the same run."""

    run_id: str
    as_of_date: date
    known_at: datetime


class DayCount(Record):
    """The rows of one day within a chunk."""

    rows: int
    fingerprint: str
    """Sum of the rows' hashes, whatever their order: a changed day changes it."""

    def plus(self, other: DayCount) -> DayCount:
        """Both together."""
        return DayCount(
            rows=self.rows + other.rows, fingerprint=str(int(self.fingerprint) + int(other.fingerprint))
        )


class Capture(Record):
    """One captured chunk: the content of a marker, and its line in the manifest."""

    source: str
    chunk: str
    """What was captured: an object's key, or a day of PostgreSQL."""
    digest: str
    files: list[str]
    part: str | None = None
    """Which rows of the files are the chunk's, where they hold others too: a UTC day (ISO) or UNDATED. None: all."""
    types: dict[str, str] = Field(default_factory=dict)
    """Engine types of the columns that are not captured as text."""
    extracted: int
    """Records in the source, counted independently of the parser."""
    days: dict[str, DayCount]
    """By operator day (ISO), or UNDATED. Sums to `extracted`."""
    latest_known_time: datetime | None = None
    """Newest ingested_at among the rows."""
    source_modified_at: datetime | None = None
    captured_at: datetime
    """known_at of the first run that captured this content."""
    made_at: datetime
    """known_at of the run that wrote the files: later than captured_at only after a full refresh."""
    gone: bool = False
    """Whether this says that the source has deleted the chunk: it has no files then."""


class Unreadable(Record):
    """A lake object that cannot be read as what it is named: it is set aside, alone."""

    chunk: str
    why: str


class SourceCaptures(Record):
    """All captures of one source that the run uses."""

    captures: list[Capture]
    new: int = 0
    """How many of them this run captured itself."""
    changed: dict[str, str] = Field(default_factory=dict)
    """What this run is the first to know of: chunk to new, changed, shrunken or gone. A retry says the same."""
    touched_days: list[str] = Field(default_factory=list)
    """Operator days (ISO, or UNDATED) whose rows these changes alter, in order."""
    unreadable: list[Unreadable] = Field(default_factory=list)
    """Objects that are set aside. Where one had been readable before, what it held then still counts."""
    future: int = 0
    """Rows of PostgreSQL dated after the day on which the run looked. They are not among the captures."""
    bitemporal_from: datetime | None = None
    """What the source overwrote before this instant, our first capture, nobody can know."""

    @property
    def extracted(self) -> int:
        """Records in all captures."""
        return sum(capture.extracted for capture in self.captures)


class ExtractManifest(Record):
    """`extract_s3.json` and `extract_pg.json`. An optional source that is absent has no entry."""

    sources: dict[str, SourceCaptures]


class DayFiles(Record):
    """One day of a dataset: the content of its marker."""

    day: date
    digest: str
    files: list[str]
    rows: int
    made_at: datetime
    """known_at of the run that wrote the files. Of several markers for one digest the latest counts."""
    duplicates: int = 0
    unknown_yet: int = 0
    """Rows that were ingested after known_at."""
    quarantined: dict[str, int] = Field(default_factory=dict)
    """Rows by reason."""
    quarantine_files: list[str] = Field(default_factory=list)


class CleanedSource(Record):
    """A cleaned source: its days before as_of, and where every extracted row went."""

    days: list[DayFiles]
    quarantine_files: list[str]
    extracted: int
    accepted: int
    duplicates: int
    quarantined: dict[str, int]
    """Rows by reason."""
    outside: dict[str, int]
    """Rows that this run does not look at, by reason: at or after as_of, not known at known_at, older snapshots."""
    made: list[date]
    """The days that were made by this try; the others had been there."""


class CleanManifest(Record):
    """`clean.json`."""

    sources: dict[str, CleanedSource]


class ModelFit(Record):
    """The parameters of one model, from data in which they could be found."""

    parameters: dict[str, float]
    as_of: date
    """Of the data that they were fitted on."""
    cohort: int
    """Players that count: active on two days or more."""
    patterns: int
    """Distinct histories among the players that it was fitted on."""
    log_likelihood: float
    iterations: int


class ServedModel(Record):
    """A model as a run used it."""

    cohort: int
    """Players of this run's data, as in `ModelFit`."""
    fit: ModelFit | None
    """This run's own, else the last good one; None: there is none, and what it would score is NULL."""
    problem: str | None = None
    """Why this run's own data gave no parameters."""

    @property
    def is_fallback(self) -> bool:
        """Whether earlier parameters serve."""
        return self.problem is not None and self.fit is not None


class Calibration(Record):
    """Knots of the curve from churn_prob_30d to churn_risk_score: lines between them, flat outside."""

    scores: list[float]
    shares: list[float]


class Decile(Record):
    """A tenth of the players by churn_prob_30d, beside what they did."""

    decile: int
    players: int
    mean_score: float
    share_silent: float


class Holdout(Record):
    """churn_prob_30d of thirty days ago, from what was known then, judged by what happened since."""

    as_of: date
    players: int
    silent: int
    """Players without an event in the thirty days."""
    fit: ModelFit
    auc: float
    brier: float
    recency_auc: float
    """Of the baseline 1 - 2^(-idle days / 30); the next likewise."""
    recency_brier: float
    deciles: list[Decile]


class ModelRun(Record):
    """What the models of a run learned, and how good last month's churn scores were."""

    as_of: date
    deposit_days: ServedModel
    """Pareto/NBD; p_alive, expected_deposit_days_30d, clv_12m."""
    activity_days: ServedModel
    """Pareto/NBD; churn_prob_30d."""
    deposit_values: ServedModel
    """Gamma-Gamma; expected_deposit_value, clv_12m."""
    value_correlation: float | None
    """Of repeat deposit days and their mean value, which Gamma-Gamma takes to be independent."""
    value_depends_on_frequency: bool
    """Whether that correlation is beyond 0.3 on either side: expected_deposit_value is to be read with care."""
    holdout: Holdout | None
    holdout_problem: str | None
    """Why there is no holdout."""
    calibration: Calibration | None
    """None: churn_risk_score is churn_prob_30d."""
    calibration_problem: str | None
    clv_margin: float
    clv_monthly_discount_rate: float


class FittedModels(Record):
    """Parameters that a run found itself: the content of an object below models/, for runs that find none."""

    as_of: date
    known_at: datetime
    run_id: str
    fits: dict[str, ModelFit]
    """By the model's field in `ModelRun`."""


class MatrixFiles(Record):
    """The ML-ready matrix of a run."""

    matrix: str
    """Parquet: the key and float32 columns."""
    pipeline: str
    """The fitted scikit-learn pipeline, by joblib."""
    players: int
    columns: list[str]
    left_out: list[str]
    """Columns of the feature table that are not in it."""
    silhouettes: dict[int, float]
    """By number of clusters."""


class Learned(Record):
    """What was learned from the players of a feature table; it lies beside the table."""

    thresholds: dict[str, float]
    """Responsible-gambling marker to the threshold that was used."""
    models: ModelRun
    matrix: MatrixFiles | None = None
    """The table as numbers; None if there are no players."""


class FeatureManifest(Record):
    """`engineer_features.json`."""

    files: list[str]
    state_files: list[str] = Field(default_factory=list)
    session_files: list[str] = Field(default_factory=list)
    users: int
    state_rows: int
    session_rows: int
    days: int
    days_built: int
    sessions_built: int
    learned: Learned | None = None
    """None after a dry run."""


class QualityManifest(Record):
    """`validate_raw.json` and `validate.json`."""

    stage: str
    score: float
    grade: str
    passed: bool
    report_json: str
    report_html: str


class BackupManifest(Record):
    """`backup_table.json`."""

    backup: str | None
    rows: int


class LoadManifest(Record):
    """`load_merge.json`."""

    strategy: str
    staged: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    marked: int
    recorded: int
    backup: str | None


Model = TypeVar("Model", bound=BaseModel)


def manifest_key(run_prefix: str, task: str) -> str:
    """Key of a task's manifest."""
    return f"{run_prefix}{task}.json"


def write_manifest(store: ObjectStore, run_prefix: str, task: str, manifest: BaseModel) -> str:
    """Write a task's manifest in one PUT; returns its key."""
    key = manifest_key(run_prefix, task)
    store.write(key, manifest.model_dump_json(indent=1).encode())
    return key


def read_manifest(store: ObjectStore, run_prefix: str, task: str, model: type[Model]) -> Model:
    """Read the manifest of an earlier task of the same run. Raises `PermanentFailure` if that task never finished."""
    key = manifest_key(run_prefix, task)
    content = store.read(key)
    if content is None:
        raise PermanentFailure(
            f"the manifest of {task} is missing",
            where=store.url(key),
            why=f"{task} has not finished in this run, or its output was removed",
            next_step=f"clear {task} and what follows it",
        )
    return model.model_validate_json(content)
