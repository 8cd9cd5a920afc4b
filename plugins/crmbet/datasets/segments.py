"""Segments: files that hold some days of a dataset, in order.

Each row says its day in `_day`. A segment that is made once is never changed. If one of its days changes, another
segment holds the new rows of that day, and the old ones stay where they are, unread. So who reads a day asks for a file
and for the days wanted of it. Rows of many small segments are joined in one for each month.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path

from crmbet.databases.parquet import Located, scan
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, date_literal, joined, literal, render
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.datasets.records import DayFiles, Segment
from crmbet.storage.digests import digest
from crmbet.storage.done_files import Content, DoneFiles
from crmbet.storage.layout import Layout, Partition, attempt_name, dataset_of
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import keep_file

log = logging.getLogger(__name__)

FEW_FILES = 4
"""The days of a month that is over may lie in so many files. If there are more, they are joined."""
MANY_FILES = 10
"""So many while the month lasts. A row of it is copied two times more than if one waited for the month's end."""
JOINED_ROWS = 10_000_000
"""Rows that one task joins at most. A month of more rows has large files anyway."""


def find_days(
    store: ObjectStore,
    layout: Layout,
    dataset: str,
    digests: Mapping[date, str],
    wanted: Callable[[str], bool] = lambda _folder: True,
) -> tuple[dict[date, DayFiles], DoneFiles[Segment]]:
    """The days (day to digest) that are finished already, all files being there, and the dataset's done-files.

    Only done-files in the folders that are `wanted` are read.
    """
    done_files = DoneFiles.read(store, layout.dataset(dataset), content_of(layout, dataset), wanted)
    return chosen_days(done_files.records, lambda day: digests.get(day.day) == day.digest), done_files


def unread_days(store: ObjectStore, layout: Layout, dataset: str) -> DoneFiles[Segment]:
    """The done-files of a dataset for who only writes some: none is read."""
    return DoneFiles(store, layout.dataset(dataset), content_of(layout, dataset))


def content_of(layout: Layout, dataset: str) -> Content[Segment]:
    """What the done-files of a dataset kept by day hold."""
    return Content(
        model=Segment,
        folder=lambda segment: folder_of_days(layout, dataset, segment.days).prefix,
        files=lambda segment: [key for day in segment.days for key in (*day.files, *day.quarantine_files)],
    )


def chosen_days(
    segments: Mapping[str, Segment], is_wanted: Callable[[DayFiles], bool]
) -> dict[date, DayFiles]:
    """For each day the newest files that hold it; of equally new ones, those that were joined last.

    `segments` are by the keys of their done-files. Every reader chooses the same.
    """
    chosen: dict[date, tuple[tuple[object, ...], DayFiles]] = {}
    for key in sorted(segments):
        segment = segments[key]
        for day in filter(is_wanted, segment.days):
            joined_at = segment.joined_at
            rank = (day.made_at, joined_at is not None, joined_at or day.made_at, len(segment.days), key)
            if day.day not in chosen or rank > chosen[day.day][0]:
                chosen[day.day] = (rank, day)
    return {day: files for day, (_, files) in chosen.items()}


def folder_of_days(layout: Layout, dataset: str, days: Sequence[DayFiles]) -> Partition:
    """The folder of a segment, which says by its digest which days it holds."""
    return folder_of_digests(layout, dataset, [(day.day, day.digest) for day in days])


def folder_of_digests(layout: Layout, dataset: str, days: Sequence[tuple[date, str]]) -> Partition:
    """The same, from each day and its digest."""
    first = min(day for day, _ in days)
    if len(days) == 1:
        return layout.day(dataset, first, days[0][1])
    return layout.day(dataset, first, digest(*(f"{day} {of}" for day, of in sorted(days))))


def rows_of_days(files: Located, days: Iterable[DayFiles]) -> Fragment | None:
    """A table expression of the rows of some days; None if no file holds any."""
    return _rows(files, _parts(days))


def quarantined_rows(files: Located, days: Iterable[DayFiles]) -> Fragment | None:
    """A table expression of the rows in quarantine of some days; None if there are none."""
    return _rows(files, _quarantined_parts(days))


def write_rows(
    work: Work, dataset: str, query: str, digests: Mapping[date, str], keep: Callable[[Path, str], str]
) -> tuple[list[str], dict[date, int]]:
    """Write a query's rows into one file of a segment; returns its key, if there are rows, and the rows of each day.

    `digests` has the days of the segment. The query's rows are of these days alone. It puts them in order: day by day,
    and no two rows alike, so that the same rows make the same bytes. `keep` brings the local file to the store, or
    begins to; it returns the key.
    """
    folder = folder_of_digests(work.run.layout, dataset, [*digests.items()])
    with scratch_folder(work.run.settings) as scratch:
        path = scratch / "segment.parquet"
        copy = render("datasets/copy_segment", rows=Fragment(query), path=literal(str(path)))
        (rows,) = work.connection.execute(copy).fetchone() or (0,)
        if not rows:
            return [], {}
        count = render("datasets/count_by_day", file=Fragment(f"read_parquet({literal(str(path))})"))
        counted = dict(work.connection.execute(count).fetchall())
        return [keep(path, f"{folder.prefix}{attempt_name()}.parquet")], counted


def files_allowed(month: date, as_of_date: date) -> int:
    """In how many files the days of the month that begins on a date may lie: few, if all of them are before as_of."""
    is_over = (month + timedelta(days=31)).replace(day=1) <= as_of_date
    return FEW_FILES if is_over else MANY_FILES


def join_months(
    work: Work, dataset: str, days: Sequence[DayFiles], done_files: DoneFiles[Segment]
) -> list[DayFiles]:
    """The same days, after those of each month have been joined if they lie in more files than it may have."""
    joined_days = {day.day: day for day in days}
    room = JOINED_ROWS
    for month, in_month in groupby(days, key=lambda day: day.day.replace(day=1)):
        of_month = [day for day in in_month if day.files or day.quarantine_files]
        rows = sum(day.rows for day in of_month)
        files = {key for day in of_month for key in day.files}
        if len(files) <= files_allowed(month, work.run.as_of_date) or rows > room:
            continue
        room -= rows
        log.info("%s: the %d days of %s are joined in one file", dataset, len(of_month), f"{month:%Y-%m}")
        segment = _joined(work, dataset, of_month)
        key = folder_of_days(work.run.layout, dataset, segment.days).done_file(attempt_name())
        done_files.write({key: segment})
        joined_days |= {day.day: day for day in segment.days}
    return [joined_days[day.day] for day in days]


def _joined(work: Work, dataset: str, days: Sequence[DayFiles]) -> Segment:
    digests = {day.day: day.digest for day in days}
    keep = partial(keep_file, work.store)
    with local_copies(work) as files:
        kept = _rows(files, _parts(days), numbered=True)
        quarantined = _rows(files, _quarantined_parts(days), numbered=True)
        changes: dict[str, object] = {}
        if kept:
            keys, counted = write_rows(work, dataset, _in_order(kept), digests, keep)
            changes |= {"files": keys, "days_in_files": len(counted)}
        if quarantined:
            of = next(dataset_of(key) for day in days for key in day.quarantine_files)
            keys, counted = write_rows(work, of, _in_order(quarantined), digests, keep)
            changes |= {"quarantine_files": keys, "days_in_quarantine": len(counted)}
    return Segment(days=[_moved(day, changes) for day in days], joined_at=work.run.known_at)


def _moved(day: DayFiles, changes: Mapping[str, object]) -> DayFiles:
    """A day whose rows lie in other files now. A day without rows has no file still."""
    without = [
        *(() if day.files else ("files", "days_in_files")),
        *(() if day.quarantine_files else ("quarantine_files", "days_in_quarantine")),
    ]
    return day.model_copy(update={name: value for name, value in changes.items() if name not in without})


def _in_order(rows: Fragment) -> str:
    return render("datasets/select_in_order", rows=rows)


def _parts(days: Iterable[DayFiles]) -> list[tuple[str, date, int]]:
    """Each file of some days: its key, the day, and how many days it holds."""
    return [(key, day.day, day.days_in_files) for day in days for key in day.files]


def _quarantined_parts(days: Iterable[DayFiles]) -> list[tuple[str, date, int]]:
    return [(key, day.day, day.days_in_quarantine) for day in days for key in day.quarantine_files]


def _rows(
    files: Located, parts: Iterable[tuple[str, date, int]], *, numbered: bool = False
) -> Fragment | None:
    """The rows of some days, from `_parts`. If they are numbered, `file_row_number` is a row's place in its file."""
    wanted: dict[str, set[date]] = {}
    held: dict[str, int] = {}
    for key, day, days_in_file in parts:
        wanted.setdefault(key, set()).add(day)
        held[key] = days_in_file
    # Files of which all days are wanted need no condition, and one scan reads them all.
    groups: dict[frozenset[date], list[str]] = {}
    for key, days in wanted.items():
        groups.setdefault(frozenset() if len(days) == held[key] else frozenset(days), []).append(key)
    selects = []
    for some, keys in groups.items():
        rows = scan(files, sorted(keys), numbered=numbered)
        if some:
            in_days = joined([date_literal(day) for day in sorted(some)])
            rows = Fragment(f"({render('datasets/select_days', files=rows, days=in_days)})")
        selects.append(rows)
    if len(selects) > 1:
        return Fragment("(" + "\nUNION ALL BY NAME\n".join(f"FROM {rows}" for rows in selects) + ")")
    return selects[0] if selects else None
