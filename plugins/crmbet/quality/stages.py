"""The two places in a run where data is judged: raw rows before cleaning, features before loading."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from crmbet.cleaning import UNDATED_DAY, rows_in_scope, typed_day
from crmbet.contracts import load_source_contracts
from crmbet.manifest import ExtractManifest, FeatureManifest, QualityManifest
from crmbet.object_store import ObjectStore
from crmbet.partitions import scan
from crmbet.quality.gate import check
from crmbet.quality.report import Report, Subject
from crmbet.quality.suites import Threshold
from crmbet.run import Run
from crmbet.statements import Fragment, identifier, joined, literal, render

if TYPE_CHECKING:
    import duckdb


def judge_raw(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, extracts: ExtractManifest
) -> Report:
    """Judge the typed rows of the run's last day, duplicates and faulty ones included, of every source that is there.

    An optional source that brought nothing for the day is reported as absent; a required one has to explain itself.
    Rows without a readable time count where the file that they lie in has rows of that day. Of a current-state feed
    the newest snapshot is judged, whatever its day.
    """
    views = []
    for name, captures in extracts.sources.items():
        contract = load_source_contracts()[name]
        by_day, _ = rows_in_scope(run, contract, captures.captures)
        days = set(by_day) if contract.event_time is None else {run.window.last_day, UNDATED_DAY}
        used = [capture for day in days - {UNDATED_DAY} for capture in by_day.get(day, ())]
        if not used and not contract.required:
            continue
        rows = typed_day(store, contract, used, days)
        wanted = joined(
            [Fragment(f"DATE {literal(day.isoformat())}") for day in sorted(days)] or [Fragment("NULL")]
        )
        view = f"raw_{name}"
        judged = Fragment(render("clean/select_judged", rows=Fragment(rows), days=wanted))
        connection.execute(render("store/create_view", name=identifier(view), rows=judged))
        views.append(view)
    _create_files_view(connection, extracts)
    views.append("raw_files")
    settings = run.settings
    thresholds: dict[str, Threshold] = {
        "min_rows_per_day": settings.min_rows_per_day,
        "min_data_completeness": settings.min_data_completeness,
        "max_outlier_percentage": settings.max_outlier_percentage,
        "max_duplicate_percentage": settings.max_duplicate_percentage,
        "max_quarantine_percentage": settings.max_quarantine_percentage,
        "max_unreadable_percentage": settings.max_unreadable_percentage,
        "freshness_floor": run.window.as_of - timedelta(hours=settings.min_data_freshness_hours),
    }
    return check(connection, stage="raw", views=views, thresholds=thresholds, subject=_subject(run))


def _create_files_view(connection: duckdb.DuckDBPyConnection, extracts: ExtractManifest) -> None:
    """The chunks that the run looked at or relies on, and those that it could not read with the reason."""
    import pyarrow as pa

    delivered = [
        *((name, capture.chunk, None) for name, of in extracts.sources.items() for capture in of.captures),
        *((name, entry.chunk, entry.why) for name, of in extracts.sources.items() for entry in of.unreadable),
    ]
    columns = {
        column: pa.array([row[place] for row in delivered], pa.string())
        for place, column in enumerate(("source", "chunk", "why"))
    }
    connection.register("delivered", pa.table(columns))
    rows = Fragment(render("store/read_rows", source=identifier("delivered")))
    connection.execute(render("store/create_table", name=identifier("raw_files"), rows=rows))
    connection.unregister("delivered")


def judge_features(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, features: FeatureManifest
) -> Report:
    """Judge the run's feature table."""
    rows = Fragment(render("store/read_rows", source=scan(store, features.files)))
    connection.execute(render("store/create_view", name=identifier("user_features"), rows=rows))
    return check(
        connection,
        stage="features",
        views=["user_features"],
        thresholds={"expected_users": features.users},
        subject=_subject(run),
    )


def publish(store: ObjectStore, run: Run, report: Report) -> QualityManifest:
    """Write the report as JSON and as a page, whether or not it passes."""
    folder = run.layout.report(run.as_of_date, run.run_id)
    page, data = f"{folder}{report.stage}.html", f"{folder}{report.stage}.json"
    store.write(page, report.to_html().encode(), "text/html; charset=utf-8")
    store.write(data, report.to_json().encode())
    return QualityManifest(
        stage=report.stage,
        score=report.score,
        grade=report.quality_grade,
        passed=not report.breaches(run.params.fail_on),
        report_json=store.url(data),
        report_html=store.url(page),
    )


def _subject(run: Run) -> Subject:
    return Subject(run_id=run.run_id, as_of=run.window.as_of, known_at=run.known_at)
