"""The instant of the table, on all clocks that features need."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Clock:
    """as_of and the operator's wall clock. Instants are naive UTC."""

    as_of: pd.Timestamp
    known_at: pd.Timestamp
    zone: str

    @property
    def last_day(self) -> pd.Timestamp:
        """The last day before as_of."""
        before = (self.as_of - pd.Timedelta(microseconds=1)).tz_localize("UTC")
        return before.tz_convert(self.zone).tz_localize(None).normalize()

    def local(self, instants: pd.Series) -> pd.Series:
        """The operator's wall-clock times of some instants."""
        return instants.dt.tz_localize("UTC").dt.tz_convert(self.zone).dt.tz_localize(None)

    def age(self, local: pd.Series) -> pd.Series:
        """The ages in days, from the last day back, of wall-clock times."""
        return (self.last_day - local.dt.normalize()).dt.days.astype("int16")

    def shift(self, zone: str) -> int:
        """Whole hours from the operator's wall clock to that of a zone at as_of; 0 if there is no such zone."""
        now = self.as_of.tz_localize("UTC")
        try:
            theirs = now.tz_convert(zone).tz_localize(None)
        except KeyError:
            return 0
        return int((theirs - now.tz_convert(self.zone).tz_localize(None)) // pd.Timedelta(hours=1))

    def born_by(self, years: int) -> pd.Timestamp:
        """The latest birth date of players who are `years` old when as_of's day begins. 29 February is 1 March."""
        return self.last_day + pd.Timedelta(days=1) - pd.DateOffset(years=years)
