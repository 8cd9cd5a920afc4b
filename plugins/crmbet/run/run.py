"""One run: what it is about, what it was asked for, and under which settings. Everything below takes it as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from crmbet.run.params import RunParams
from crmbet.run.settings import Settings
from crmbet.run.window import Window
from crmbet.storage.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the pipeline, resolved: no clock and no environment is asked below this."""

    run_id: str
    window: Window
    known_at: datetime
    params: RunParams
    settings: Settings

    @property
    def layout(self) -> Layout:
        """Where this run's brand keeps its data."""
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
    def rereads_the_past(self) -> bool:
        """Whether known_at was asked for: only captures that existed then count, and nothing new is captured."""
        return self.params.known_at is not None
