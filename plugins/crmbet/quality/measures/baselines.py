"""Baselines on S3: the distributions that later runs are compared with. A baseline has profiles by weekday.

A run uses the newest baseline that is not younger than its own as_of, so a backfill finds what a run of its time would
have found. The first run finds none: it says so, and freezes a baseline if it passes. After that only a run with the
param `refresh_baseline` begins a new one. A backfill of a day before the first baseline is compared with none and
freezes none. If it froze one, that single day would decide whether backfills of the days after it pass. What is frozen
never changes.

A raw baseline is made of the four weeks before its as_of, so it has every weekday at once. A feature baseline starts
with the table of one run. The runs of the next six days add theirs, and then each weekday has its own profile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from crmbet.quality.checks import Stage
from crmbet.quality.measures.profile import Profile
from crmbet.run.records import Record
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import read_records, write_record
from crmbet.texts import ENGLISH, Texts

ANY_DAY = "any"
"""The profile that serves a weekday without one of its own."""
WEEK = timedelta(days=7)

log = logging.getLogger(__name__)


class Frozen(Record):
    """One object on S3: what one run added to a baseline."""

    stage: Stage
    frozen: date
    """as_of of the run that began the baseline. It names the baseline."""
    as_of: date
    run_id: str
    profiles: dict[str, dict[str, Profile]]
    """By weekday of the judged day (Monday is 0, or ANY_DAY), then by table."""


@dataclass(frozen=True)
class Baselines:
    """The baseline of one stage and run."""

    frozen: date | None
    """as_of of the run that began it; None if no baseline is old enough."""
    profiles: Mapping[str, Profile]
    """By table."""
    grows: bool
    """Whether this run adds its distributions to the baseline, if it passes."""
    is_refreshed: bool = False
    """Whether the run was told to begin a new baseline."""

    @property
    def why_none(self) -> str | None:
        """Why nothing is compared with a baseline; None if there is one."""
        if self.frozen is not None:
            return None
        if self.is_refreshed:
            return "a new baseline begins: nothing compared"
        if not self.grows:
            return "no baseline is as old as this run: nothing compared"
        return "no baseline yet: nothing compared"

    def note(self, say: Texts = ENGLISH) -> str:
        """What the report says about the baseline, as a sentence."""
        if self.frozen is None and not self.grows:
            return say("Baseline: none is as old as this run, which freezes none.")
        if self.frozen is None:
            return say("Baseline: none yet. The figures of this run are frozen if it passes.")
        return say("Baseline: frozen as of {date}.", date=self.frozen)


def find_baselines(store: ObjectStore, run: Run, stage: Stage) -> Baselines:
    """The newest baseline that is not younger than the run. It has no profiles if there is none.

    Raises `DamagedObject`.
    """
    if run.params.refresh_baseline:
        return Baselines(None, {}, grows=True, is_refreshed=True)
    folder = run.layout.baselines(stage)
    parts = list(read_records(store, [entry.key for entry in store.list(folder)], Frozen).values())
    name = max((part.frozen for part in parts if part.frozen <= run.as_of_date), default=None)
    if name is None:
        return Baselines(None, {}, grows=not parts)
    parts = sorted(
        (part for part in parts if part.frozen == name), key=lambda part: (part.as_of, part.run_id)
    )
    weekday = str(run.window.last_day.weekday())
    own = [part.profiles[weekday] for part in parts if weekday in part.profiles]
    other = [part.profiles[ANY_DAY] for part in parts if ANY_DAY in part.profiles]
    within = name <= run.as_of_date < name + WEEK
    # The weekday's profile may lack a table, such as a snapshot. Then the profile of any day serves.
    profiles = {**(other[0] if other else {}), **(own[0] if own else {})}
    return Baselines(name, profiles, grows=not own and within and stage == "features")


def freeze(
    store: ObjectStore,
    run: Run,
    stage: Stage,
    baselines: Baselines,
    profiles: Mapping[str, Mapping[str, Profile]],
) -> None:
    """Add this run's profiles, by weekday and table, to the baseline; begin one if there is none."""
    begun = baselines.frozen or run.as_of_date
    part = Frozen(
        stage=stage,
        frozen=begun,
        as_of=run.as_of_date,
        run_id=run.run_id,
        profiles={weekday: dict(tables) for weekday, tables in profiles.items()},
    )
    key = run.layout.baseline(stage, begun, run.as_of_date, run.run_id)
    write_record(store, key, part)
    log.info("froze the distributions of the %s data as baseline %s: %s", stage, begun, store.url(key))
