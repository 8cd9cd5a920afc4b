"""What a task hands to the next one: a manifest on S3, and its address and some counts through XCom."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowSkipException
from pydantic import BaseModel

from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.extract.records import SourceCaptures
from crmbet.features.records import FeatureManifest
from crmbet.healing import Stages
from crmbet.orchestration.context import AirflowRun, attach_source, erased_players
from crmbet.run.logs import log_outcome
from crmbet.run.records import read_manifest, write_manifest

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

PLANNED_NAMES = 50
"""Names of chunks that a dry run logs for each source. The others are only counted."""
SKIPPED_BECAUSE = "skipped_because"
"""XCom key of the reason for which a task skipped itself."""

log = logging.getLogger(__name__)


def skip_part_of_dry_run(airflow_run: AirflowRun) -> None:
    """Skip the task, which would make a part, if the run should change nothing. The task of the step plans it all."""
    if airflow_run.run.params.dry_run:
        raise AirflowSkipException("dry_run: nothing is made, in parts or otherwise")


def hand_over(
    airflow_run: AirflowRun, task_id: str, manifest: BaseModel, counts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the task's manifest. Returns the content of its XCom."""
    key = write_manifest(airflow_run.store, airflow_run.run.prefix, task_id, manifest)
    log_outcome(log, f"{task_id} done: {json.dumps(dict(counts), default=str)}", counts)
    return {"manifest": airflow_run.store.url(key), "as_of": airflow_run.run.as_of_date.isoformat(), **counts}


def stages_of(airflow_run: AirflowRun) -> Stages:
    """The run's stages, for a task that makes one of them, or makes again what an earlier task made."""
    return Stages(
        run=airflow_run.run,
        store=airflow_run.store,
        open_work=airflow_run.work,
        attach_source=partial(attach_source, settings=airflow_run.run.settings),
        sources=load_source_contracts(over=airflow_run.run.settings.source.contracts_directory),
        table=load_table_contract(),
        erased=partial(erased_players, airflow_run.run),
    )


def read_cleaned(airflow_run: AirflowRun) -> CleanManifest:
    """The cleaned sources of the run."""
    return read_manifest(airflow_run.store, airflow_run.run.prefix, "clean", CleanManifest)


def read_features(airflow_run: AirflowRun) -> FeatureManifest:
    """The feature table of the run."""
    return read_manifest(airflow_run.store, airflow_run.run.prefix, "engineer_features", FeatureManifest)


def end_dry_run(
    context: Context, airflow_run: AirflowRun, manifest: BaseModel, plan: Mapping[str, Any]
) -> NoReturn:
    """Write the manifest of the plan, which the next tasks plan on, push the plan to XCom, and skip the task."""
    write_manifest(airflow_run.store, airflow_run.run.prefix, context["ti"].task_id, manifest)
    context["ti"].xcom_push(key="plan", value=dict(plan))
    raise AirflowSkipException("dry_run: nothing was captured or changed; the plan is in this log")


def plan_captures(source: str, captures: SourceCaptures) -> dict[str, Any]:
    """Log what would be captured from a source. Returns it as counts and days."""
    rows = {capture.chunk: capture.extracted for capture in captures.captures}
    shown = ", ".join(
        f"{chunk} ({change}, {rows.get(chunk, 0)} rows)"
        for chunk, change in islice(captures.changed.items(), PLANNED_NAMES)
    )
    log.info(
        "dry run: %s: %d chunks would be captured%s; changed chunks: %s%s; days touched: %s",
        source,
        captures.new,
        f", {len(captures.unreadable)} cannot be read" if captures.unreadable else "",
        shown or "none",
        f" and {len(captures.changed) - PLANNED_NAMES} more" if len(captures.changed) > PLANNED_NAMES else "",
        day_ranges(captures.touched_days),
    )
    return {
        "chunks": captures.new,
        "changed": dict(Counter(captures.changed.values())),
        "rows": sum(rows.get(chunk, 0) for chunk in captures.changed),
        "days": day_ranges(captures.touched_days),
    }


def plan_table(manifest: FeatureManifest, as_of: date) -> str:
    """What a dry run knows of the rows of the table. It computes no features, so it cannot count what would change."""
    if manifest.days_built or manifest.sessions_built:
        return "those of players who were active on these days would change; a dry run cannot count them"
    return (
        f"none would change if {as_of} has been loaded since the last change; otherwise every player would get the "
        f"features as of {as_of}"
    )


def log_changes(sources: Mapping[str, SourceCaptures]) -> None:
    """Log what has changed since other runs looked. The features of the days touched can differ from earlier runs'."""
    for name, captures in sources.items():
        log.info(
            "%s: %d chunks captured, %s; days touched: %s; what the source overwrote before %s is unknown",
            name,
            captures.new,
            ", ".join(f"{count} {change}" for change, count in Counter(captures.changed.values()).items())
            or "nothing changed",
            day_ranges(captures.touched_days),
            captures.bitemporal_from,
        )


def day_ranges(days: Iterable[date | str]) -> str:
    """Days in words: neighbouring days as a range, and names that are no dates at the end."""
    dated: list[list[date]] = []
    others = []
    for text in sorted(str(day) for day in days):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            others.append(text)
            continue
        if dated and day - dated[-1][-1] == timedelta(days=1):
            dated[-1].append(day)
        else:
            dated.append([day])
    ranges = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in dated]
    return ", ".join([*ranges, *others]) or "none"


def stop_before_loading(airflow_run: AirflowRun, context: Context) -> None:
    """Skip the task if the run should only validate. Its log and its XComs, which the Grid shows, have the reason."""
    if airflow_run.run.params.validate_only:
        reason = "validate_only: this run stops before backup and load; see its quality report"
        context["ti"].xcom_push(SKIPPED_BECAUSE, reason)
        raise AirflowSkipException(reason)
