"""The operator `engineer_features`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from crmbet.operators.sharded import ShardedOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.orchestration.context import AirflowRun
    from crmbet.run.shards import Shard


class EngineerFeaturesOperator(ShardedOperator):
    """Bring the daily state up to date and compute the feature row of every player as of the run's instant.

    Its parts are days of state and of sessions, the themes of some players that need no other player, what is learned
    from all players, which is one part, and the scores of some players: `parts_are` says which.
    """

    def __init__(
        self, *, parts_are: Literal["days", "players", "fits", "scores"] = "days", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.parts_are = parts_are

    def make_step(self, airflow_run: AirflowRun, context: Context) -> dict[str, Any]:
        """Write `engineer_features.json`; returns its address and the number of players."""
        from crmbet.orchestration.handover import end_dry_run, hand_over, plan_table, stages_of

        stages = stages_of(airflow_run)
        manifest = stages.healed(stages.engineer)
        counts = {
            "users": manifest.users,
            "days_built": manifest.days_built,
            "sessions_built": manifest.sessions_built,
        }
        if airflow_run.run.params.dry_run:
            table = plan_table(manifest, airflow_run.run.as_of_date)
            self.log.info(
                "dry run: %d days of state and %d of sessions would be made; rows of the table: %s",
                manifest.days_built,
                manifest.sessions_built,
                table,
            )
            end_dry_run(context, airflow_run, manifest, {**counts, "table": table})
        return hand_over(airflow_run, self.task_id, manifest, counts)

    def make_part(self, airflow_run: AirflowRun, shard: Shard) -> tuple[str, dict[str, Any]]:
        """Make a part of what the step puts together."""
        from crmbet.orchestration.handover import day_ranges, stages_of

        stages = stages_of(airflow_run)
        match self.parts_are:
            case "players":
                players = stages.healed(lambda: stages.engineer_shard_of_players(shard))
                return f"{players} players", {"players": players}
            case "fits":
                stages.healed(stages.learn_from_players)
                return "all players", {}
            case "scores":
                players = stages.healed(lambda: stages.score_shard_of_players(shard))
                return f"{players} players", {"players": players}
            case _:
                made = stages.healed(lambda: stages.engineer_shard(shard))
                return f"days {day_ranges(made)}", {"days": len(made)}
