"""A run in figures: the row of `ml_features.pipeline_runs`. It is made from the manifests of the run's tasks."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from os.path import commonpath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from crmbet.audiences.records import AudiencesManifest
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_table_contract
from crmbet.databases.parquet import Located, column_types, scan
from crmbet.databases.statements import Fragment, identifier, joined, render
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.extract.records import ExtractManifest
from crmbet.features.records import FeatureManifest
from crmbet.load.records import LoadManifest, Movement
from crmbet.monitoring.audience_jumps import describe_audience_jumps
from crmbet.monitoring.foreign_objects import describe_foreign
from crmbet.monitoring.hand_edits import describe_edits
from crmbet.monitoring.outcome import TaskOutcome
from crmbet.monitoring.segment_jumps import describe_jumps
from crmbet.monitoring.streams import describe_age, describe_parity
from crmbet.quality.records import QualityManifest
from crmbet.run.records import manifest_key
from crmbet.run.settings import Settings
from crmbet.run.tasks import COMPARE, EXTRACTS, GATES, PUBLISH, STREAM
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import parse_record
from crmbet.stream.figures import StreamManifest
from crmbet.stream.parity import Parity
from crmbet.texts import Texts, texts_in

if TYPE_CHECKING:
    import duckdb

Model = TypeVar("Model", bound=BaseModel)

LAKE = "extract_s3"
"""The task that captures the lake."""
FEATURES = "engineer_features"
"""The task that says in which segment a player is."""
LOAD = "load_merge"
"""The task that writes the target."""
TOLD = (*EXTRACTS, "clean", FEATURES, *GATES.values(), LOAD, STREAM, PUBLISH, COMPARE)
"""The tasks whose manifests are told of."""
REASONS_KEPT = 50
"""A row lists this many reasons of quarantine for each source. All others are one sum."""
OTHER_REASONS = "other reasons"
BREACHES_KEPT = 20
KEYS_KEPT = 5
SHOWN_PACKAGES = ("apache-airflow", "duckdb", "great-expectations", "numpy", "scipy")


class Breach(BaseModel):
    """An expectation that failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    check: str
    severity: str
    view: str
    title: str
    threshold: str = ""
    observed: str = ""
    keys: tuple[str, ...] = ()
    """Some of the rows in breach, by their ids. They are kept out of the database and of logs."""
    advice: str = ""


class StageQuality(BaseModel):
    """The judgement of a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float
    grade: str
    passed: bool
    report: str
    """The address of the report page."""
    breaches: tuple[Breach, ...] = ()


class Players(BaseModel):
    """The run's feature table in a few figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: int
    segments: dict[str, dict[str, float | None]]
    """Segment to its number of players and their mean value score."""
    churn: dict[str, int]
    """Players by churn_risk_band. Players without a band are `undefined`."""
    value: dict[str, float | None]
    """Mean, median (p50) and 0.9 quantile (p90) of the value score."""
    filled: dict[str, float] = Field(default_factory=dict)
    """Column to the share (0..1) of players who have a value in it. Empty in rows of earlier releases."""
    churn_auc: float | None = None
    """AUC of last month's churn_prob_30d, judged by what players have done since. None if it could not be judged."""
    churn_recency_auc: float | None = None
    """AUC of the days since the last bet alone, for comparison."""
    movements: tuple[Movement, ...] = ()
    """Players by where they came from and went to, since a day and since thirty days ago."""


class RunMetrics(BaseModel):
    """One run. A count is None if the run did not get that far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: str
    execution_id: str
    run_type: str
    brand: str
    as_of: datetime | None
    as_of_date: date | None = None
    """The date of as_of in the operator's zone. None if the run failed before it knew it."""
    state: Literal["success", "failed"]
    started_at: datetime
    ended_at: datetime
    failed_task: str | None = None
    failure: str | None = None
    """What broke, in one sentence."""
    records_extracted: int | None = None
    records_cleaned: int | None = None
    records_duplicate: int | None = None
    records_outside: int | None = None
    """Records that do not concern this run: at or after as_of, not known yet at known_at, or older snapshots."""
    records_erased: int | None = None
    """Records of erased players: not in the store any more, or left out of what the sources still deliver."""
    quarantined: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Rows by source and reason."""
    records_transformed: int | None = None
    """Feature rows made, one per player."""
    records_inserted: int | None = None
    records_updated: int | None = None
    records_unchanged: int | None = None
    records_removed: int | None = None
    bytes_read: int | None = None
    """Size of the lake objects that this run captured, and of the files that it copied PostgreSQL's rows to."""
    bytes_written: int | None = None
    """Size of the files below our prefix that this run made."""
    store_bytes: int | None = None
    """Size of everything that is kept below the brand's prefix, at the end of the run."""
    tasks: dict[str, TaskOutcome] = Field(default_factory=dict)
    quality: dict[str, StageQuality] = Field(default_factory=dict)
    """By stage: raw, features."""
    players: Players | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def duration_seconds(self) -> float:
        """From the run's start until its figures were read."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def records_quarantined(self) -> int | None:
        """Rows in quarantine."""
        if self.records_cleaned is None:
            return None
        return sum(sum(reasons.values()) for reasons in self.quarantined.values())

    @property
    def records_loaded(self) -> int | None:
        """Feature rows that the load has written, or found in the table unchanged."""
        parts = (self.records_inserted, self.records_updated, self.records_unchanged)
        known = [part for part in parts if part is not None]
        return sum(known) if known else None

    @property
    def success_rate(self) -> float | None:
        """Loaded over extracted (0..1), as the original specification defines it.

        It divides players by records, so it is seldom near 1.
        """
        if self.records_loaded is None or not self.records_extracted:
            return None
        return min(1.0, self.records_loaded / self.records_extracted)

    @property
    def accepted_rate(self) -> float | None:
        """Share (0..1) of accepted records among those accepted or in quarantine. Duplicates do not count."""
        if self.records_cleaned is None or self.records_quarantined is None:
            return None
        judged = self.records_cleaned + self.records_quarantined
        return self.records_cleaned / judged if judged else None

    @property
    def data_quality_score(self) -> float | None:
        """The lowest score (0..1) of the stages that were judged."""
        return min((stage.score for stage in self.quality.values()), default=None)

    @property
    def quality_grade(self) -> str | None:
        """The grade of the stage with that score: A to D, or F."""
        worst = min(self.quality.values(), key=lambda stage: stage.score, default=None)
        return worst.grade if worst else None


def collect_metrics(known: RunMetrics, work: Work) -> RunMetrics:
    """Add to `known`, which identifies the run and its tasks, the figures of its manifests. Writes nothing.

    A manifest counts only if its task finished in this try of the run, because a cleared run leaves older manifests.
    Raises `DamagedObject`.
    """
    store, layout, say = work.store, work.run.layout, texts_in(work.run.settings.language)
    reader = _Manifests(store, layout.run(known.execution_id), known)
    extracts = [manifest for task in EXTRACTS if (manifest := reader.read(task, ExtractManifest))]
    clean, features = reader.read("clean", CleanManifest), reader.read(FEATURES, FeatureManifest)
    figures: dict[str, Any] = {"tasks": {**known.tasks}}
    with local_copies(work) as files:
        bytes_read, kept, figures["quality"], _ = store.at_once(
            lambda: _bytes_read(store, extracts),
            lambda: [*store.list(layout.root)] if features else [],
            reader.quality,
            lambda: files.urls(features.files if features else ()),
        )
        players = summarise_players(work.connection, files, features.files) if features else None
    if lake := reader.read(LAKE, ExtractManifest):
        warned = known.tasks[LAKE].model_copy(update={"warning": describe_foreign(lake.sources, say)})
        figures["tasks"][LAKE] = warned
    if len(extracts) == len(EXTRACTS):
        sources = [captures for manifest in extracts for captures in manifest.sources.values()]
        figures["records_extracted"] = sum(captures.extracted for captures in sources)
        figures["bytes_read"] = bytes_read
    if clean:
        figures["records_cleaned"] = sum(source.accepted for source in clean.sources.values())
        figures["records_duplicate"] = sum(source.duplicates for source in clean.sources.values())
        figures["records_outside"] = sum(sum(source.outside.values()) for source in clean.sources.values())
        figures["records_erased"] = sum(source.erased for source in clean.sources.values())
        figures["quarantined"] = keep_common(
            {name: source.quarantined for name, source in clean.sources.items() if source.quarantined}
        )
    if features and players:
        figures["records_transformed"] = features.users
        if features.learned and (holdout := features.learned.models.holdout):
            judged = {"churn_auc": holdout.auc, "churn_recency_auc": holdout.recency_auc}
            players = players.model_copy(update=judged)
        figures["players"] = players
        named = _named_files(extracts, clean, features)
        figures["store_bytes"] = sum(entry.size for entry in kept)
        figures["bytes_written"] = sum(
            entry.size for entry in kept if entry.key in named and entry.last_modified >= known.started_at
        )
    if load := reader.read(LOAD, LoadManifest):
        figures["tasks"][LOAD] = known.tasks[LOAD].model_copy(update={"warning": describe_edits(load, say)})
        figures["records_inserted"], figures["records_updated"] = load.inserted, load.updated
        figures["records_unchanged"], figures["records_removed"] = load.unchanged, load.removed
        if figures.get("players"):
            figures["players"] = figures["players"].model_copy(update={"movements": tuple(load.movements)})
        jumps = describe_jumps(load.movements, work.run.settings.load.max_segment_jump_share, say)
        figures["tasks"][FEATURES] = known.tasks[FEATURES].model_copy(update={"warning": jumps})
    if stream := reader.read(STREAM, StreamManifest):
        figures["records_extracted"] = stream.messages
    figures["tasks"] |= _optional_tasks(reader, known, work.run.settings, say)
    return known.model_copy(update=figures)


def _optional_tasks(
    reader: _Manifests, known: RunMetrics, settings: Settings, say: Texts
) -> dict[str, TaskOutcome]:
    """What the tasks have to tell that a deployment may do without."""
    told: dict[str, dict[str, object]] = {}
    if handed := reader.read(PUBLISH, AudiencesManifest):
        jumps = describe_audience_jumps(handed.publications, settings.load.max_segment_jump_share, say)
        told[PUBLISH] = {"warning": jumps}
    if stream := reader.read(STREAM, StreamManifest):
        told[STREAM] = {"figures": stream.counts, "warning": describe_age(stream, say)}
    if parity := reader.read(COMPARE, Parity):
        told[COMPARE] = {"warning": describe_parity(parity, say)}
    return {task: known.tasks[task].model_copy(update=update) for task, update in told.items()}


def keep_common(quarantined: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Keep the commonest reasons of each source and add up all others, since a hostile file can bring thousands."""
    kept = {}
    for source, reasons in quarantined.items():
        common = dict(Counter(reasons).most_common(REASONS_KEPT))
        if rest := sum(reasons.values()) - sum(common.values()):
            common[OTHER_REASONS] = rest
        kept[source] = common
    return kept


def summarise_players(connection: duckdb.DuckDBPyConnection, files: Located, keys: list[str]) -> Players:
    """Count the segments, churn bands, value scores and filled cells of a feature table."""
    rows = Fragment(scan(files, keys))
    segments = connection.execute(render("monitoring/summarise_segments", features=rows)).fetchall()
    churn = connection.execute(render("monitoring/summarise_churn", features=rows)).fetchall()
    (mean, median, high) = connection.execute(render("monitoring/summarise_value", features=rows)).fetchall()[
        0
    ]
    total = sum(players for _, players, _ in segments)
    return Players(
        total=total,
        filled=_fill_rates(connection, rows, total),
        segments={segment: {"players": players, "value": value} for segment, players, value in segments},
        churn=dict(churn),
        value={"mean": mean, "p50": median, "p90": high},
    )


def _fill_rates(connection: duckdb.DuckDBPyConnection, rows: Fragment, players: int) -> dict[str, float]:
    """The share of players with a value, for each column of the contract that the rows have."""
    have = column_types(connection, rows)
    names = [name for name in load_table_contract().columns if name in have]
    counts = joined([Fragment(f"count({identifier(name)})") for name in names])
    [filled] = connection.execute(
        render("monitoring/summarise_fill", features=rows, counts=counts)
    ).fetchall()
    return (
        {name: round(count / players, 6) for name, count in zip(names, filled, strict=True)}
        if players
        else {}
    )


def installed_versions() -> dict[str, str]:
    """The versions of Python and of the packages that figures depend on."""
    versions = {"python": platform.python_version()}
    for package in SHOWN_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


class _Manifests:
    """The manifests of the tasks that ended in this run. All are read at the same time."""

    def __init__(self, store: ObjectStore, prefix: str, known: RunMetrics) -> None:
        self._store = store
        self._prefix = prefix
        self._states = {name: outcome.state for name, outcome in known.tasks.items()}
        ended = [task for task in TOLD if self._states.get(task) in ("success", "failed")]
        self._contents = store.read_all(manifest_key(prefix, task) for task in ended)

    def read(self, task: str, model: type[Model], states: tuple[str, ...] = ("success",)) -> Model | None:
        key = manifest_key(self._prefix, task)
        content = self._contents.get(key) if self._states.get(task) in states else None
        return None if content is None else parse_record(self._store, key, content, model)

    def quality(self) -> dict[str, StageQuality]:
        """A gate writes its manifest and its report before it fails, so a failed one counts too."""
        judged = {
            stage: manifest
            for stage, task in GATES.items()
            if (manifest := self.read(task, QualityManifest, ("success", "failed")))
        }
        breaches = self._store.in_parallel(lambda of: read_breaches(self._store, of), judged.values())
        return {
            stage: StageQuality(
                score=manifest.score,
                grade=manifest.grade,
                passed=manifest.passed,
                report=manifest.report_html,
                breaches=found,
            )
            for (stage, manifest), found in zip(judged.items(), breaches, strict=True)
        }


def read_breaches(store: ObjectStore, manifest: QualityManifest) -> tuple[Breach, ...]:
    """The failed expectations of the manifest's report, the gravest first."""
    content = store.read(manifest.report_json.removeprefix(store.url("")))
    if content is None:
        return ()
    return tuple(list_breaches(manifest.stage, content))[:BREACHES_KEPT]


def list_breaches(stage: str, report: bytes) -> Iterable[Breach]:
    """The failed expectations of a report, in its order."""
    import json

    for check in json.loads(report)["checks"]:
        for outcome in check["expectations"]:
            if not outcome["passed"]:
                yield Breach(
                    stage=stage,
                    check=check["check"],
                    severity=check["severity"],
                    view=outcome["view"],
                    title=outcome["title"],
                    threshold=str(outcome["threshold"] or ""),
                    observed=_observed(outcome),
                    keys=tuple(str(key) for key in outcome["keys"][:KEYS_KEPT]),
                    advice=check["recommendation"] or "",
                )


def _observed(outcome: Mapping[str, Any]) -> str:
    if outcome.get("error"):
        return f"could not be judged: {outcome['error']}"
    if outcome.get("finding"):
        return str(outcome["finding"])
    # A report of an earlier version has no sentence.
    if outcome.get("unexpected_share") is not None:
        return f"{outcome['unexpected_share']:.2%} of rows are not as expected"
    value = outcome.get("observed")
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _bytes_read(store: ObjectStore, extracts: Iterable[ExtractManifest]) -> int:
    """Size of the captured lake objects and of the copies of PostgreSQL's days. Its rows have no size of their own."""
    wanted: list[set[str]] = []
    for captures in (captures for manifest in extracts for captures in manifest.sources.values()):
        new = {chunk for chunk, change in captures.changed.items() if change != "gone"}
        objects = {chunk for chunk in new if "/" in chunk}
        copies = {
            key
            for capture in captures.captures
            if capture.chunk in new - objects and not capture.gone
            for key in capture.files
        }
        if keys := objects | copies:
            wanted.append(keys)
    return sum(
        store.in_parallel(
            lambda keys: sum(entry.size for entry in store.list(commonpath(keys)) if entry.key in keys),
            wanted,
        )
    )


def _named_files(
    extracts: Iterable[ExtractManifest], clean: CleanManifest | None, features: FeatureManifest
) -> set[str]:
    named = {*features.files, *features.state_files, *features.session_files}
    for manifest in extracts:
        for captures in manifest.sources.values():
            named.update(key for capture in captures.captures for key in capture.files)
    for source in clean.sources.values() if clean else ():
        named.update(source.quarantine_files, source.files)
    return named
