"""What a task leaves for the next: a manifest on S3, and through XCom no more than its address and counts."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowSkipException
from pydantic import BaseModel

from crmbet.manifest import CleanManifest, ExtractManifest, read_manifest, write_manifest
from crmbet.operators.airflow_run import AirflowRun

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

PLANNED_NAMES = 50
"""Names that a dry run writes for each source: the rest is counted."""

log = logging.getLogger(__name__)


def hand_over(at: AirflowRun, task_id: str, manifest: BaseModel, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the task's manifest; returns what XCom carries."""
    key = write_manifest(at.store, at.run.prefix, task_id, manifest)
    log.info("%s done: %s", task_id, json.dumps(dict(counts), default=str))
    return {"manifest": at.store.url(key), **counts}


def read_extracts(at: AirflowRun) -> ExtractManifest:
    """All captures of the run: those of the lake and those of PostgreSQL."""
    lake = read_manifest(at.store, at.run.prefix, "extract_s3", ExtractManifest)
    database = read_manifest(at.store, at.run.prefix, "extract_pg", ExtractManifest)
    return ExtractManifest(sources={**lake.sources, **database.sources})


def read_cleaned(at: AirflowRun) -> CleanManifest:
    """The cleaned sources of the run."""
    return read_manifest(at.store, at.run.prefix, "clean", CleanManifest)


def end_dry_run(context: Context, plan: Mapping[str, Any]) -> NoReturn:
    """Log what would be captured, hand it to XCom, and skip this task and all that follow it."""
    for source, chunks in plan.items():
        names = list(chunks)
        shown = ", ".join(
            f"{name} ({chunks[name]} rows)" if isinstance(chunks, Mapping) else name
            for name in names[:PLANNED_NAMES]
        )
        more = f" and {len(names) - PLANNED_NAMES} more" if len(names) > PLANNED_NAMES else ""
        log.info("dry run: %s: %d chunks would be captured: %s%s", source, len(names), shown or "none", more)
    context["ti"].xcom_push(key="plan", value={source: len(chunks) for source, chunks in plan.items()})
    raise AirflowSkipException("dry_run: nothing was captured or changed; the plan is in this log")


def stop_before_loading(at: AirflowRun) -> None:
    """Skip the task if the run was only to validate."""
    if at.run.params.validate_only:
        raise AirflowSkipException(
            "validate_only: this run stops before backup and load; see its quality report"
        )
