"""One run of the pipeline: its as_of, its params and its settings. All code below takes it as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from crmbet.run.params import RunParams, Severity
from crmbet.run.schedule import QUESTIONS
from crmbet.run.settings import Settings
from crmbet.run.window import Window
from crmbet.storage.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the pipeline. Code that has it needs neither a clock nor the environment."""

    run_id: str
    window: Window
    known_at: datetime
    params: RunParams
    settings: Settings

    @property
    def layout(self) -> Layout:
        """Where the data of this run's brand is."""
        return Layout(brand=self.settings.brand)

    @property
    def prefix(self) -> str:
        """Folder of this run."""
        return self.layout.run(self.run_id)

    @property
    def as_of_date(self) -> date:
        """The date whose midnight is as_of."""
        return self.window.as_of_date

    @property
    def questions(self) -> tuple[str, ...]:
        """What a person is asked about before the load; nothing if there is no load, or no task that asks."""
        configured = () if self.params.validate_only else self.settings.approval.questions
        if not configured or self.params.ask_on is None:
            return configured
        return tuple(word for word in QUESTIONS if word in self.params.ask_on)

    @property
    def failing(self) -> frozenset[Severity]:
        """Severities of a failed check that stop the run. About the others a person is asked, or nobody minds."""
        return self.params.fail_on.difference(self.questions)

    @property
    def rereads_the_past(self) -> bool:
        """Whether the param known_at is set: then captures of before that instant count, and nothing is captured."""
        return self.params.known_at is not None

    def has_made(self, made_at: datetime) -> bool:
        """Whether something of this age is this run's own, made by an earlier task or try of it.

        A run that goes back to an instant has the age of that instant, which other runs may have, too.
        """
        return made_at == self.known_at and not self.rereads_the_past
