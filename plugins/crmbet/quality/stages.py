"""The two quality gates of a run: raw rows before cleaning, and features before loading.

The typed rows are first copied to a file in a scratch folder. Suites and profiles read them many times, so this saves
passes over S3.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile

from crmbet.clean.clean import rows_in_scope
from crmbet.clean.records import UNDATED_DAY, CleanManifest
from crmbet.clean.typed import typed_batch
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import SourceContract, key_alone
from crmbet.contracts.table import TableContract
from crmbet.databases.parquet import Located, scan
from crmbet.databases.statements import Fragment, identifier, literal, render, statement
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.extract.listing import describe_passed_over
from crmbet.extract.records import UNDATED, Capture, ExtractManifest, SourceCaptures
from crmbet.features.records import FeatureManifest
from crmbet.quality.gate import check
from crmbet.quality.known import load_known
from crmbet.quality.measures.baselines import ANY_DAY, Baselines, find_baselines, freeze
from crmbet.quality.measures.feature_tables import create_feature_tables
from crmbet.quality.measures.moves import FeatureMove, list_moves
from crmbet.quality.measures.profile import Profile
from crmbet.quality.measures.raw_tables import (
    MeasuredSource,
    create_days,
    create_protection,
    create_raw_drift,
    create_references,
    create_sources,
    describe_discarded,
    judge_days,
    mark_repeated,
    measure_source,
)
from crmbet.quality.measures.tables import create_table
from crmbet.quality.records import QualityManifest
from crmbet.quality.report import Report, Subject, data_docs_name
from crmbet.quality.thresholds import thresholds_of
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore
from crmbet.texts import Texts, texts_in

if TYPE_CHECKING:
    import duckdb

BASELINE_DAYS = 28
"""The days before the judged day that make a raw baseline: four of each weekday."""
CHANGED_DAYS = 31
"""The most changed days that are judged beside the last one, the newest first. In older ones, cleaning still puts bad
rows into quarantine."""
REPEAT_DAYS = 7
"""The days before the judged day that are searched for its keys."""

NAMED_FOREIGN = 20
"""Foreign objects of a feed that the report names. The manifest names all of them."""

SOURCE_LETTERS = {
    "B": "bets",
    "T": "transactions",
    "S": "sessions",
    "C": "communications",
    "P": "players",
    "L": "limits",
}
"""The letters by which the contract of the features names the sources."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """A report, and the baseline that the run's distributions are added to if it passes."""

    report: Report
    baselines: Baselines
    profiles: Mapping[str, Mapping[str, Profile]] = field(default_factory=dict)
    """By weekday and table."""
    moves: Sequence[FeatureMove] = ()
    """The features beside their baseline."""


def judge_raw(
    work: Work, extracts: ExtractManifest, folder: Path, erased: ErasedPlayers = NOBODY
) -> Judgement:
    """Judge the typed rows of the run's last day, for every source. Duplicates and faulty rows are included.

    An optional source that brought nothing for the day is reported as absent; a required one is a breach. Rows without
    a readable time count if their file has rows of that day. For a current-state feed, the newest snapshot is judged,
    whatever its day. Earlier days whose rows changed since the previous runs are judged one by one, by fewer figures.
    `folder` is empty and may be written to. Rows of erased players are not judged, so no report names them.
    """
    with local_copies(work) as files:
        contracts = load_source_contracts(over=work.run.settings.source.contracts_directory)
        return _judge_raw(work, extracts, _Delivered(work, folder, files, erased, contracts))


def _judge_raw(work: Work, extracts: ExtractManifest, delivered: _Delivered) -> Judgement:
    connection, run = work.connection, work.run
    contracts = delivered.contracts
    wanted = [_wanted(run, contracts[name], captures) for name, captures in extracts.sources.items()]
    # Of all that is read for the last day, at once.
    baseline, _ = work.store.at_once(
        lambda: find_baselines(work.store, run, "raw"),
        lambda: delivered.files.urls({key for each in wanted for key in each.files}),
    )
    for each in wanted:
        delivered.add(each)
    _create_files_view(connection, extracts, contracts)
    views = [*(f"raw_{name}" for name in delivered.rows), "raw_files", "raw_sources"]
    captured = {name: source.captures for name, source in extracts.sources.items()}
    create_sources(connection, run, extracts.sources, contracts, delivered.snapshot_ages)
    if delivered.changed_days:
        create_days(connection, delivered.changed_days)
        views.append("raw_days")
    active = [name for name in delivered.rows if name not in ("players", "limits")]
    if "players" in delivered.rows and active:
        create_references(connection, active)
        views.append("raw_references")
    if delivered.protecting:
        create_protection(connection, delivered.protecting)
        views.append("raw_protection")

    profiles: dict[str, dict[str, Profile]] = {}
    if baseline.frozen is None:
        profiles = delivered.profile_weeks(captured)
    weekday = str(run.window.last_day.weekday())
    compared = baseline.profiles or {**profiles.get(ANY_DAY, {}), **profiles.get(weekday, {})}
    measured = delivered.measured(compared)
    if baseline.frozen is None:
        # Compared with itself, a source has always stayed as it was.
        measured = {name: of for name, of in measured.items() if name not in delivered.alone}
    unjudged = {}
    if create_raw_drift(connection, measured, compared):
        views.append("raw_drift")
    elif baseline.why_none:
        unjudged["raw_drift"] = baseline.why_none
    table = load_table_contract()
    say = texts_in(run.settings.language)
    report = check(
        connection,
        stage="raw",
        views=views,
        thresholds=thresholds_of(run, table),
        subject=_subject(run),
        table=table,
        notes=[
            *_strictness(run),
            baseline.note(say),
            *_compared_with_weeks(baseline, measured, say),
            *delivered.notes,
            *_notes_on_objects(extracts, say),
        ],
        unjudged={view: say(why) for view, why in unjudged.items()},
        is_strict=run.settings.quality.quality_strict,
        docs=_docs(delivered.folder),
        say=say,
    )
    return Judgement(report, baseline, profiles)


def judge_features(work: Work, features: FeatureManifest, cleaned: CleanManifest, folder: Path) -> Judgement:
    """Judge the run's feature table. `folder` is empty and may be written to."""
    connection, run = work.connection, work.run
    table = load_table_contract()
    with local_copies(work) as files:
        baseline, _ = work.store.at_once(
            lambda: find_baselines(work.store, run, "features"), lambda: files.urls(features.files)
        )
        rows = Fragment(render("databases/read_rows", source=scan(files, features.files)))
        source = _keep(connection, folder / "user_features.parquet", rows)
    connection.execute(render("databases/create_view", name=identifier("user_features"), rows=_all(source)))
    is_mature, maturity = _maturity(connection, source, run)
    immature = None if is_mature else "too few players or days: nothing compared"
    measured = create_feature_tables(
        connection,
        source,
        table,
        load_known(),
        baseline.profiles.get("user_features"),
        min_feature_fill=run.settings.quality.min_feature_fill,
        absent=absent_features(table, [name for name, of in cleaned.sources.items() if of.extracted]),
        is_mature=is_mature,
    )
    say = texts_in(run.settings.language)
    report = check(
        connection,
        stage="features",
        views=FEATURE_VIEWS,
        thresholds=thresholds_of(run, table, users=features.users),
        subject=_subject(run, features.known_at),
        table=table,
        notes=[*_strictness(run), baseline.note(say), *maturity],
        unjudged={"feature_drift": say(why)} if (why := baseline.why_none or immature) else {},
        is_strict=run.settings.quality.quality_strict,
        docs=_docs(folder),
        say=say,
    )
    report = replace(report, models=features.learned.models if features.learned else None)
    weekday = str(run.window.last_day.weekday())
    tables = {"user_features": measured.profile}
    return Judgement(
        report,
        baseline,
        {weekday: tables, **({} if baseline.frozen else {ANY_DAY: tables})},
        list_moves(measured.compared, run.settings.quality),
    )


def _strictness(run: Run) -> list[str]:
    """What the report says about the limits."""
    if not run.settings.quality.quality_strict:
        return []
    say = texts_in(run.settings.language)
    return [
        say(
            "Strict: the limits of the original specification apply to the letter, without margins for chance."
        )
    ]


def _compared_with_weeks(
    baseline: Baselines, measured: Mapping[str, MeasuredSource], say: Texts
) -> list[str]:
    """What the report says about the comparison of a raw day that has no baseline, but weeks before it."""
    if baseline.frozen is not None or not measured:
        return []
    sources = ", ".join(sorted(measured))
    return [say("Distributions were compared with the four weeks before, for {sources}.", sources=sources)]


def _maturity(connection: duckdb.DuckDBPyConnection, source: Fragment, run: Run) -> tuple[bool, list[str]]:
    """Whether the table can be judged as a population, and the note for the report if not."""
    measured = connection.execute(render("quality/measure_maturity", source=source)).fetchone()
    players, days = measured or (0, 0)
    least_players, least_days = (
        run.settings.quality.min_profile_players,
        run.settings.quality.min_profile_days,
    )
    if players >= least_players and days >= least_days:
        return True, []
    note = texts_in(run.settings.language)(
        "Readiness for machine learning, correlation, drift and outliers were not judged. There are "
        "{players} players (needed: {least_players}), and the oldest has been a player for {days} days "
        "(needed: {least_days}).",
        players=players,
        least_players=least_players,
        days=days,
        least_days=least_days,
    )
    return False, [note]


FEATURE_VIEWS = ("user_features", "feature_profile", "feature_set", "feature_pairs", "feature_drift")


def absent_features(table: TableContract, sources: Iterable[str]) -> frozenset[str]:
    """Features that need a source which the operator does not deliver."""
    there = set(sources)
    return frozenset(
        name
        for name, column in table.features.items()
        if any(
            SOURCE_LETTERS.get(letter.strip(), "") not in there
            for letter in column.sources.split(",")
            if letter.strip()
        )
    )


def publish(store: ObjectStore, run: Run, judgement: Judgement, folder: Path) -> QualityManifest:
    """Write the report as JSON, as a page and as Data Docs. If it passes, add the run's distributions to the baseline.

    `folder` is the folder in which the stage was judged.
    """
    report = judgement.report
    target = run.layout.report(run.as_of_date, run.run_id)
    page, data = f"{target}{report.stage}.html", f"{target}{report.stage}.json"
    written = {
        page: (report.to_html().encode(), "text/html; charset=utf-8"),
        data: (report.to_json().encode(), "application/json"),
        f"{target}{data_docs_name(report.stage)}": (_packed(folder / DATA_DOCS), "application/zip"),
    }
    store.in_parallel(lambda item: store.write(item[0], *item[1]), written.items())
    breaches = report.breaches(run.params.fail_on)
    passed = not breaches
    if passed and judgement.baselines.grows:
        freeze(store, run, report.stage, judgement.baselines, judgement.profiles)
    return QualityManifest(
        stage=report.stage,
        score=report.score,
        grade=report.quality_grade,
        passed=passed,
        failed={breach.check.label: breach.check.severity for breach in breaches},
        report_json=store.url(data),
        report_html=store.url(page),
    )


DATA_DOCS = "data_docs"


def _packed(site: Path) -> bytes:
    """The pages below a folder as one archive: some thirty objects a run would only ever be read together."""
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for path in sorted(site.rglob("*.html")):
            archive.write(path, path.relative_to(site).as_posix())
    return packed.getvalue()


def _docs(folder: Path) -> Path:
    docs = folder / DATA_DOCS
    docs.mkdir()
    return docs


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is judged of a source's captures."""

    contract: SourceContract
    by_day: Mapping[date, list[Capture]]
    """The captures behind each day before as_of."""
    last: set[date]
    """The last day and `UNDATED_DAY`; of a feed that describes the present, its newest snapshot."""
    earlier: set[date]
    """Days whose keys the last day must not repeat."""
    changed: list[date]
    """Earlier days whose rows have changed since other runs looked, in order."""
    undated: list[Capture]
    """New content without rows of the last day, whose rows without a readable time may protect players."""

    @property
    def files(self) -> set[str]:
        """Keys of all files that are read."""
        days = [_dated(self.last), self.earlier, self.changed[-CHANGED_DAYS:]]
        captures = [
            *self.undated,
            *(capture for some in days for day in some for capture in self.by_day.get(day, ())),
        ]
        return {key for capture in captures for key in capture.files}

    @property
    def is_absent(self) -> bool:
        """Whether an optional source has brought nothing for the last day."""
        return not self.contract.required and not set(self.by_day) & (self.last - {UNDATED_DAY})


def _wanted(run: Run, contract: SourceContract, captures: SourceCaptures) -> _Wanted:
    by_day, _ = rows_in_scope(run, contract, captures.captures)
    last_day = run.window.last_day
    if contract.event_time is None:
        return _Wanted(
            contract=contract, by_day=by_day, last=set(by_day), earlier=set(), changed=[], undated=[]
        )
    past = {date.fromisoformat(iso) for iso in captures.touched_days if iso != UNDATED} - {last_day}
    judged = {capture.digest for capture in by_day.get(last_day, ())}
    before = {last_day - timedelta(days=days) for days in range(1, REPEAT_DAYS + 1)}
    return _Wanted(
        contract=contract,
        by_day=by_day,
        last={last_day, UNDATED_DAY},
        # If the key includes the day, no other day has it.
        earlier=set() if contract.event_time in contract.business_key else before & set(by_day),
        changed=sorted(day for day in past if day in by_day),
        undated=[
            capture
            for capture in by_day.get(UNDATED_DAY, ())
            # Those of an object with rows of the last day are judged with them.
            if capture.chunk in captures.changed and capture.digest not in judged
        ],
    )


def _dated(days: set[date]) -> set[date]:
    """Days without `UNDATED_DAY`, whose rows are judged with those of other days, if there are other days."""
    return days - {UNDATED_DAY} or days


@dataclass
class _Delivered:
    """What the sources delivered: typed rows in files, with a view `raw_<source>` for each source."""

    work: Work
    folder: Path
    files: Located
    erased: ErasedPlayers
    contracts: Mapping[str, SourceContract]
    rows: dict[str, Fragment] = field(default_factory=dict)
    """Table expressions of the judged rows, by source."""
    snapshot_ages: dict[str, int] = field(default_factory=dict)
    changed_days: list[tuple[Any, ...]] = field(default_factory=list)
    protecting: list[tuple[str, Fragment]] = field(default_factory=list)
    """All judged rows of sources that may protect players, and those without a readable time that are new: pairs of
    source and table expression."""
    notes: list[str] = field(default_factory=list)
    alone: set[str] = field(default_factory=set)
    """Sources that have no weeks before the judged day, so that only the day itself can begin their baseline."""

    @property
    def say(self) -> Texts:
        """The texts of the language that the notes speak."""
        return texts_in(self.work.run.settings.language)

    def add(self, wanted: _Wanted) -> None:
        """Take a source. Of an optional one that brought nothing for the last day, only what has changed is judged."""
        contract, by_day = wanted.contract, wanted.by_day
        if contract.event_time is not None:
            self._judge_changed(wanted)
            self._judge_undated(wanted)
        if wanted.is_absent:
            return
        if contract.event_time is None:
            self.snapshot_ages[contract.name] = (self.work.run.window.last_day - max(wanted.last)).days
        kept = self._typed(contract, by_day, wanted.last, f"{contract.name}.parquet")
        view = identifier(f"raw_{contract.name}")
        rows = self._marked(wanted, kept)
        self.work.connection.execute(render("databases/create_view", name=view, rows=rows))
        self.rows[contract.name] = kept
        self.notes += describe_discarded(self.work.connection, contract, kept, self.say)
        self._protect(contract, kept)

    def _protect(self, contract: SourceContract, rows: Fragment) -> None:
        if contract.protecting or contract.protecting_rows:
            self.protecting.append((contract.name, rows))

    def _marked(self, wanted: _Wanted, kept: Fragment) -> Fragment:
        """The judged rows. If the key does not include the day, each row says which earlier day has its key."""
        contract, earlier = wanted.contract, wanted.earlier
        if contract.event_time is None or contract.event_time in contract.business_key:
            return _all(kept)
        # Of earlier days only the keys are asked for, and typing the other columns takes long to plan.
        alone = f"{contract.name}_earlier.parquet"
        rows = self._typed(key_alone(contract), wanted.by_day, earlier, alone) if earlier else None
        return mark_repeated(self.work.connection, contract, kept, rows)

    def _judge_changed(self, wanted: _Wanted) -> None:
        contract, changed = wanted.contract, wanted.changed
        judged = changed[-CHANGED_DAYS:]
        if len(changed) > len(judged):
            self.notes.append(
                self.say(
                    "{changed} earlier days of {source} changed; the newest {judged} were judged.",
                    changed=len(changed),
                    source=contract.name,
                    judged=len(judged),
                )
            )
        if judged:
            rows = self._typed(contract, wanted.by_day, set(judged), f"{contract.name}_changed.parquet")
            self.changed_days += judge_days(self.work.connection, contract, rows)
            self.notes += describe_discarded(self.work.connection, contract, rows, self.say)
            self._protect(contract, rows)

    def _judge_undated(self, wanted: _Wanted) -> None:
        """Judge what may protect players in rows of new content that have no readable time, and so belong to no day."""
        if wanted.undated:
            contract, by_day = wanted.contract, {UNDATED_DAY: wanted.undated}
            self._protect(
                contract, self._typed(contract, by_day, {UNDATED_DAY}, f"{contract.name}_undated.parquet")
            )

    def measured(self, baselines: Mapping[str, Profile]) -> dict[str, MeasuredSource]:
        """The distributions of the judged rows."""
        return {
            name: measure_source(self.work.connection, self.contracts[name], rows, baselines.get(name))
            for name, rows in self.rows.items()
        }

    def profile_weeks(self, captured: Mapping[str, Sequence[Capture]]) -> dict[str, dict[str, Profile]]:
        """Profiles of the four weeks before the judged day: one for each weekday, and one for all days."""
        last_day = self.work.run.window.last_day
        wanted = {last_day - timedelta(days=days) for days in range(1, BASELINE_DAYS + 1)}
        profiles: dict[str, dict[str, Profile]] = {}
        for name, captures in captured.items():
            contract = self.contracts[name]
            by_day, _ = rows_in_scope(self.work.run, contract, captures)
            days = wanted & set(by_day)
            if contract.event_time is None or not days:
                # A snapshot has no weeks, and the first day has no days before it.
                self.alone.add(name)
                if name in self.rows:
                    own = measure_source(self.work.connection, contract, self.rows[name]).profile
                    profiles.setdefault(ANY_DAY, {})[name] = own
                continue
            kept = self._typed(contract, by_day, days, f"{name}_weeks.parquet")
            profiles.setdefault(ANY_DAY, {})[name] = measure_source(
                self.work.connection, contract, kept
            ).profile
            for weekday in sorted({str(day.weekday()) for day in days}):
                of_weekday = Fragment(
                    f"({render('quality/select_weekday', source=kept, weekday=Fragment(weekday))})"
                )
                measured = measure_source(self.work.connection, contract, of_weekday)
                profiles.setdefault(weekday, {})[name] = measured.profile
        return profiles

    def _typed(
        self, contract: SourceContract, by_day: Mapping[date, list[Capture]], days: set[date], name: str
    ) -> Fragment:
        """The typed rows of some days, copied to a file."""
        used = {capture.digest: capture for day in _dated(days) for capture in by_day.get(day, ())}
        captures = list(used.values())
        # All at once: reading a capture asks for its files one by one.
        self.files.urls([key for capture in captures for key in capture.files])
        with typed_batch(
            self.work.connection, contract, self.files, captures, sorted(days), erased=self.erased
        ):
            return _keep(self.work.connection, self.folder / name, statement("clean/select_judged"))


def _keep(connection: duckdb.DuckDBPyConnection, path: Path, rows: str) -> Fragment:
    """Copy rows to a file. Returns a table expression that reads it."""
    connection.execute(render("databases/copy_to_file", rows=Fragment(rows), path=literal(str(path))))
    return Fragment(f"read_parquet({literal(str(path))})")


def _all(source: Fragment) -> Fragment:
    return Fragment(render("databases/read_rows", source=source))


def _create_files_view(
    connection: duckdb.DuckDBPyConnection,
    extracts: ExtractManifest,
    contracts: Mapping[str, SourceContract],
) -> None:
    """Create `raw_files`: the objects that the run uses, and those that it could not read, with the reason.

    A foreign object is no delivery, so it does not count. The report has it as a note.
    """
    feeds = {name: of for name, of in extracts.sources.items() if contracts[name].kind == "lake"}
    delivered = [
        *((name, capture.chunk, None) for name, of in feeds.items() for capture in of.captures),
        *(
            (name, entry.chunk, entry.why)
            for name, of in feeds.items()
            for entry in of.unreadable
            if not entry.is_foreign
        ),
    ]
    columns: dict[str, tuple[str, list[Any]]] = {
        column: ("string", [row[place] for row in delivered])
        for place, column in enumerate(("source", "chunk", "why"))
    }
    create_table(connection, "raw_files", columns)


def _notes_on_objects(extracts: ExtractManifest, say: Texts) -> Iterator[str]:
    """What the report says of objects that no row comes from."""
    for name, of in extracts.sources.items():
        if of.passed_over:
            objects = describe_passed_over(of.passed_over, say)
            yield say("Passed over in the feed {feed}: {objects}.", feed=name, objects=objects)
        if of.empty:
            yield say(
                "Without a record in the feed {feed}: {count} object ({shown})."
                if of.empty.count == 1
                else "Without a record in the feed {feed}: {count} objects ({shown}).",
                feed=name,
                count=of.empty.count,
                shown=of.empty.shown,
            )
        for entry in of.foreign[:NAMED_FOREIGN]:
            yield say(
                "{object} cannot be read ({why}). It is like no delivery of the feed {feed}, "
                "so it was set aside and does not count in the checks.",
                object=entry.chunk,
                why=entry.why.rstrip("."),
                feed=name,
            )
        if (more := len(of.foreign) - NAMED_FOREIGN) > 0:
            yield say(
                "{more} more objects of the feed {feed} were set aside for the same reason.",
                more=more,
                feed=name,
            )


def _subject(run: Run, known_at: datetime | None = None) -> Subject:
    return Subject(run_id=run.run_id, as_of=run.window.as_of, known_at=known_at or run.known_at)
