"""Datasets kept by day: finds the days that are there, makes the missing ones, and writes their files.

Every day has the digest of everything that it was made from. A changed input or statement gives another digest, and a
retry finds what an earlier try finished. The days of a batch share files, which are a segment. Every attempt gives its
files names of their own. The done-file is written last and names the days and files that count, so parallel runs and
killed tasks leave at most files that nobody reads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Protocol

from crmbet.databases.work import Work
from crmbet.datasets.prefetch import Fetched, fetch_ahead
from crmbet.datasets.records import DayFiles, Segment
from crmbet.datasets.segments import find_days, folder_of_days, join_months, write_rows
from crmbet.datasets.sending import Sending, sending
from crmbet.run.progress import Progress
from crmbet.run.run import Run
from crmbet.run.shards import Shard
from crmbet.storage.done_files import DoneFiles
from crmbet.storage.layout import Layout, attempt_name

log = logging.getLogger(__name__)

BATCH_DAYS = 100
"""Days made by one statement: enough to share its fixed cost, few enough to bound what a kill loses."""
BATCH_ROWS = 1_000_000
"""Rows that the days of one statement are made from, unless a single day has more: twice as many spill at 1 GB."""


@dataclass(frozen=True, kw_only=True)
class WantedDay:
    """A day that a run needs, and what it is made from."""

    digest: str
    """Identity of everything that the day is made from."""
    rows: int
    """Rows that it is made from: a batch holds as many days as fit."""
    reads: Sequence[str] = ()
    """Keys of the files that are read whole for it: they are fetched before the day is made."""


class Dataset(Protocol):
    """A dataset kept by day: it knows which days a run needs, and how to make them."""

    @property
    def name(self) -> str:
        """Its folder, such as 'state' or 'cleaned/source=bets'."""

    def wanted(self) -> Mapping[date, WantedDay]:
        """All days that the run needs."""

    def make(self, days: Mapping[date, WantedDay], files: Fetched, outgoing: Sending) -> Iterable[DayFiles]:
        """Send the files of some of these days; returns one `DayFiles` each. `files` has copies of what they read."""


@dataclass(frozen=True, kw_only=True)
class EnsuredDays:
    """A dataset's days, all of which are in the store now."""

    days: list[DayFiles]
    """Every wanted day, in order."""
    made: list[date]
    """Those that were missing. A dry run has not made them: they have no files."""


def ensure_days(work: Work, dataset: Dataset, *, join: bool = True) -> EnsuredDays:
    """Make the wanted days of one dataset that are missing, as `ensure_all_days` does."""
    [ensured] = ensure_all_days(work, [dataset], join=join)
    return ensured


def ensure_all_days(work: Work, datasets: Iterable[Dataset], *, join: bool = True) -> list[EnsuredDays]:
    """Make the wanted days of some datasets that are missing, batch by batch. A dry run only finds out which they are.

    No dataset reads what another one makes here. Months that are over are joined, unless another task does so.
    """
    plans = [_plan(work, dataset) for dataset in datasets]
    if work.run.params.dry_run:
        return [plan.ensured(work.run) for plan in plans]
    _make_missing(work, plans)
    if not join:
        return [plan.ensured(work.run) for plan in plans]
    ensured = []
    for plan in plans:
        days, done_files = plan.ensured(work.run), plan.done_files
        done_files.set_aside(done_files.damaged.copy())
        ensured.append(replace(days, days=join_months(work, plan.dataset.name, days.days, done_files)))
    work.store.in_parallel(lambda plan: plan.done_files.write_index(attempt_name()), plans)
    return ensured


def make_shard_of_days(work: Work, dataset: Dataset, shard: Shard) -> list[date]:
    """Make the missing days of one part of a dataset, for `ensure_days` to find. Returns them."""
    plan = _plan(work, dataset)
    of_shard = shard.days({day: part.rows for day, part in plan.wanted.items()})
    plan = replace(plan, missing=[day for day in of_shard if day not in plan.finished])
    _make_missing(work, [plan])
    return plan.missing


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What there is of a dataset, and what has to be made."""

    dataset: Dataset
    wanted: Mapping[date, WantedDay]
    finished: dict[date, DayFiles]
    """The wanted days that are there. The others are added as they are made."""
    missing: list[date]
    """In order."""
    done_files: DoneFiles[Segment]

    def ensured(self, run: Run) -> EnsuredDays:
        """All wanted days. Those that a dry run has not made have no files."""
        days = [
            self.finished.get(day) or unmade_day(run, day, self.wanted[day].digest)
            for day in sorted(self.wanted)
        ]
        return EnsuredDays(days=days, made=self.missing)


def _plan(work: Work, dataset: Dataset) -> _Plan:
    run, wanted = work.run, dataset.wanted()
    finished, done_files = find_days(
        work.store, run.layout, dataset.name, {day: part.digest for day, part in wanted.items()}
    )
    if run.params.full_refresh:
        finished = {day: files for day, files in finished.items() if run.has_made(files.made_at)}
    missing = sorted(wanted.keys() - finished.keys())
    return _Plan(dataset=dataset, wanted=wanted, finished=finished, missing=missing, done_files=done_files)


def _make_missing(work: Work, plans: Sequence[_Plan]) -> None:
    """Make what is missing, batch by batch. Meanwhile earlier batches are sent, and files of the next are fetched."""
    planned = [
        [*batches(plan.missing, {day: plan.wanted[day].rows for day in plan.missing})] for plan in plans
    ]
    keys = [
        sorted({key for day in batch for key in plan.wanted[day].reads})
        for plan, of_plan in zip(plans, planned, strict=True)
        for batch in of_plan
    ]
    with (
        sending(work.store, work.run.settings) as outgoing,
        closing(fetch_ahead(work.store, work.run.settings, keys)) as fetched,
    ):
        for plan, of_plan in zip(plans, planned, strict=True):
            rows = {day: plan.wanted[day].rows for day in plan.missing}
            name = plan.dataset.name
            progress = Progress(log, name, unit="days", total=len(rows), total_rows=sum(rows.values()))
            for batch in of_plan:
                days = {day: plan.wanted[day] for day in batch}
                made = [*plan.dataset.make(days, next(fetched), outgoing)]
                outgoing.end_segment(partial(write_segment, plan.done_files, work.run.layout, name, made))
                plan.finished.update((day.day, day) for day in made)
                progress.advance(len(batch), sum(rows[day] for day in batch))
            progress.finish()


def write_segment(
    done_files: DoneFiles[Segment], layout: Layout, dataset: str, days: Sequence[DayFiles]
) -> None:
    """Write the done-file of days that were made together: from now on they count."""
    key = folder_of_days(layout, dataset, days).done_file(attempt_name())
    done_files.write({key: Segment(days=list(days))})


def unmade_day(run: Run, day: date, digest: str) -> DayFiles:
    """A day before anything has been written for it."""
    return DayFiles(day=day, digest=digest, files=[], rows=0, made_at=run.known_at)


def batches(
    days: Sequence[date],
    rows: Mapping[date, int],
    *,
    most_days: int = BATCH_DAYS,
    most_rows: int = BATCH_ROWS,
) -> Iterator[list[date]]:
    """Days in order, cut where the next one would make a batch too long or too large."""
    batch: list[date] = []
    size = 0
    for day in days:
        if batch and (len(batch) == most_days or size + rows[day] > most_rows):
            yield batch
            batch, size = [], 0
        batch.append(day)
        size += rows[day]
    if batch:
        yield batch


def write_days(
    work: Work, dataset: str, query: str, days: Mapping[date, WantedDay], outgoing: Sending
) -> list[DayFiles]:
    """Write a query's rows, each of one of these days, into one file, and send it; returns every given day.

    A day without rows has no file.
    """
    digests = {day: part.digest for day, part in days.items()}
    files, rows = write_rows(work, dataset, query, digests, outgoing.keep_file)
    return [
        unmade_day(work.run, day, part.digest).model_copy(
            update={"files": files, "days_in_files": len(rows), "rows": rows[day]} if rows.get(day) else {}
        )
        for day, part in days.items()
    ]
