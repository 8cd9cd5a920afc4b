"""What each task of a run used and made, written once as `<task>.json` in the run's folder.

Later tasks read manifests and nothing else: no listing, no clock, no guess. XCom carries a manifest's key and counts.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from crmbet.failures import PermanentFailure
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import read_record, write_record


class Record(BaseModel):
    """A frozen piece of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRecord(Record):
    """`run.json`: fixed by the run's first try, so that a retry days later is still the same run."""

    run_id: str
    as_of_date: date
    known_at: datetime


Model = TypeVar("Model", bound=BaseModel)


def manifest_key(run_prefix: str, task: str) -> str:
    """Key of a task's manifest."""
    return f"{run_prefix}{task}.json"


def write_manifest(store: ObjectStore, run_prefix: str, task: str, manifest: BaseModel) -> str:
    """Write a task's manifest in one PUT; returns its key."""
    key = manifest_key(run_prefix, task)
    write_record(store, key, manifest, indent=1)
    return key


def read_manifest(store: ObjectStore, run_prefix: str, task: str, model: type[Model]) -> Model:
    """Read the manifest of an earlier task of the same run.

    Raises `PermanentFailure` if that task never finished, and `DamagedObject` if the manifest is damaged.
    """
    key = manifest_key(run_prefix, task)
    manifest = read_record(store, key, model)
    if manifest is None:
        raise PermanentFailure(
            f"the manifest of {task} is missing",
            where=store.url(key),
            why=f"{task} has not finished in this run, or its output was removed",
            next_step=f"clear {task} and what follows it",
        )
    return manifest
