"""An operator with a long history that has been computed up to the day before its last, for later measurements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.apart import Apart
from bench.events import Events, deliver_bets, deliver_players, deliver_transactions
from bench.pipeline import COMPUTING, EXTRACTS, run_tasks
from bench.workbench import Operator, PipelineRun, Workbench


@dataclass(frozen=True, kw_only=True)
class History:
    """All days but the last of `events` have been delivered, captured and computed."""

    operator: Operator
    events: Events
    built: Apart
    """The first run's clean and engineer_features, over all days but the last."""

    @property
    def size(self) -> str:
        """The size of the history, as text."""
        return f"{self.events.bets:,} bets, {self.events.players:,} players, {self.events.days - 1} days"

    def run(self, days: int, known_after_minutes: int = 360) -> PipelineRun:
        """A run as of the end of the first `days` days."""
        return PipelineRun(
            operator=self.operator,
            as_of=self.events.as_of(days),
            known_after_minutes=known_after_minutes,
        )


@contextmanager
def open_history(workbench: Workbench, events: Events) -> Iterator[History]:
    """Make a history. It is removed afterwards."""
    with workbench.operator("history") as operator:
        past = range(events.days - 1)
        deliver_bets(operator, events, past)
        deliver_players(operator, events)
        deliver_transactions(operator, events, past)
        first = PipelineRun(operator=operator, as_of=events.as_of(len(past)))
        run_tasks(first, *EXTRACTS)
        yield History(operator=operator, events=events, built=run_tasks(first, *COMPUTING))
