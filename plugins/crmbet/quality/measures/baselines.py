"""What distributions are compared with: baselines on S3, frozen by as_of, one a weekday, never changed.

A stage's first run that passes freezes one, and after it only a run that is asked to (`refresh_baseline`). A raw
baseline is made of the four weeks before its as_of, so it has every weekday. Of features only the run's own table is
there: its baseline grows by the tables of the six days that follow, so that from then on each weekday has its own. A
run uses the newest baseline that is not younger than itself, so that a backfill finds what a run of its time would.
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

ANY_DAY = "any"
"""The profile for a weekday that has none."""
WEEK = timedelta(days=7)

log = logging.getLogger(__name__)


class Frozen(Record):
    """One object: what a run has added to a baseline."""

    stage: Stage
    frozen: date
    """as_of of the run that began the baseline, which is the baseline's name."""
    as_of: date
    run_id: str
    profiles: dict[str, dict[str, Profile]]
    """By weekday of the judged day (Monday 0, or ANY_DAY), and by table."""


@dataclass(frozen=True)
class Baselines:
    """What is compared with for one stage and run."""

    frozen: date | None
    """Which baseline; None where there is none yet."""
    profiles: Mapping[str, Profile]
    """By table."""
    grows: bool
    """Whether this run's distributions are to be added to it once the run has passed."""

    @property
    def name(self) -> str:
        """For a reader."""
        return f"frozen as of {self.frozen}" if self.frozen else "this run's own, since there is none yet"


def find_baselines(store: ObjectStore, run: Run, stage: Stage) -> Baselines:
    """The baseline of a run, which may be none."""
    if run.params.refresh_baseline:
        return Baselines(None, {}, grows=True)
    folder = run.layout.baselines(stage)
    contents = store.read_all(entry.key for entry in store.list(folder))
    parts = [Frozen.model_validate_json(content) for content in contents.values() if content is not None]
    if not parts:
        return Baselines(None, {}, grows=True)
    names = {part.frozen for part in parts}
    name = max((each for each in names if each <= run.as_of_date), default=min(names))
    parts = sorted(
        (part for part in parts if part.frozen == name), key=lambda part: (part.as_of, part.run_id)
    )
    weekday = str(run.window.last_day.weekday())
    own = [part.profiles[weekday] for part in parts if weekday in part.profiles]
    other = [part.profiles[ANY_DAY] for part in parts if ANY_DAY in part.profiles]
    within = name <= run.as_of_date < name + WEEK
    # A table that the weekday's profile lacks, such as a snapshot's, is compared with any day's.
    profiles = {**(other[0] if other else {}), **(own[0] if own else {})}
    return Baselines(name, profiles, grows=not own and within and stage == "features")


def freeze(
    store: ObjectStore,
    run: Run,
    stage: Stage,
    found: Baselines,
    profiles: Mapping[str, Mapping[str, Profile]],
) -> None:
    """Begin a baseline with this run's profiles by weekday and table, or add them to the one that was found."""
    begun = found.frozen or run.as_of_date
    part = Frozen(
        stage=stage,
        frozen=begun,
        as_of=run.as_of_date,
        run_id=run.run_id,
        profiles={weekday: dict(tables) for weekday, tables in profiles.items()},
    )
    key = run.layout.baseline(stage, begun, run.as_of_date, run.run_id)
    store.write(key, part.model_dump_json().encode())
    log.info("froze the distributions of the %s data as baseline %s: %s", stage, begun, store.url(key))
