"""What the operators of sharded steps share: a task makes a part of its step, or brings the step to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.orchestration.context import AirflowRun
    from crmbet.run.shards import Shard


class ShardedOperator(BaseOperator):
    """A step of which parts can be made side by side.

    A task with a `shard`, such as "2 of 8", makes that part and leaves no manifest. The task without one finds what the
    parts have made, makes what is missing, and writes the step's manifest.
    """

    def __init__(self, *, shard: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard
        self.part = f"part {shard}"
        """What the Grid calls the task once it has run."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the step or a part of it. Returns counts, and the manifest's address if it is the step."""
        from crmbet.orchestration.context import open_run
        from crmbet.orchestration.handover import skip_part_of_dry_run
        from crmbet.run.shards import Shard

        airflow_run = open_run(context)
        if not self.shard:
            return self.make_step(airflow_run, context)
        skip_part_of_dry_run(airflow_run)
        self.part, counts = self.make_part(airflow_run, Shard.parse(self.shard))
        self.part = f"{self.part} ({self.shard})"
        return counts

    def make_step(self, airflow_run: AirflowRun, context: Context) -> dict[str, Any]:
        """Make what is missing of the step, and hand it over."""
        raise NotImplementedError

    def make_part(self, airflow_run: AirflowRun, shard: Shard) -> tuple[str, dict[str, Any]]:
        """Make one part. Returns what it is, in words for the Grid, and counts."""
        raise NotImplementedError
