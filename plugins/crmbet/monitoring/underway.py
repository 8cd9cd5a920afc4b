"""What a run under way looks like. Airflow knows it; `crmbet.orchestration.metadata` asks."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class TaskUnderWay(BaseModel):
    """A task of a run that has not ended."""

    model_config = ConfigDict(frozen=True)

    state: str | None
    """As Airflow names it. None if its turn has not come."""
    started: datetime | None
    ended: datetime | None
    try_number: int


class RunUnderWay(BaseModel):
    """A run that has not ended, with its tasks by name."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    run_type: str
    state: str
    """queued or running."""
    started: datetime | None
    tasks: dict[str, TaskUnderWay]
