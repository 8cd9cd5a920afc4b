"""What a run can say about when its facts were known: the known_at of its rows, and whether they are a reconstruction.

A run for yesterday knows its facts today. A run for a day of last year, on which no run captured the sources, knows
what the sources say now, and a source that overwrites has lost what it said then. Such rows are marked. If each fact
says when it was known (`known_time` of its contract), nothing is lost: the rows are those that could have been computed
as soon as the last of their facts was known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import identifier, render
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import fetch_ahead
from crmbet.datasets.segments import rows_of_days
from crmbet.extract.records import LATE, ExtractManifest


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What the rows of a run say about it."""

    known_at: datetime
    """All that the rows are made from was known at this instant."""
    reconstructed: str | None = None
    """Why it cannot be told whether the rows could have been computed at as_of; None if they could."""


def judge_knowledge(
    work: Work,
    contracts: Mapping[str, SourceContract],
    extracts: ExtractManifest,
    cleaned: CleanManifest,
) -> Knowledge:
    """Find out when the facts of a run were known. A daily run's are known at the run's known_at."""
    run = work.run
    if run.known_at < run.window.as_of + LATE:
        return Knowledge(known_at=run.known_at)
    last_known = _last_known(work, [contracts[name] for name in extracts.sources], cleaned)
    silent = sorted(name for name, known in last_known.items() if known is None)
    if not silent:
        newest = max([run.window.as_of, *(known for known in last_known.values() if known is not None)])
        return Knowledge(known_at=min(newest, run.known_at))
    captured_from = {name: extracts.sources[name].bitemporal_from for name in silent}
    late = {
        name: first
        for name, first in captured_from.items()
        if first is None or first >= run.window.as_of + LATE
    }
    if late:
        since = max((first for first in late.values() if first is not None), default=run.known_at)
        because = f"had not been captured before {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    # A run captures only what has changed. One source may not have changed on that day, but some source has.
    elif not any(source.captured_then for source in extracts.sources.values()):
        because = f"were not captured on the day after {run.window.as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    else:
        return Knowledge(known_at=run.known_at)
    return Knowledge(
        known_at=run.known_at,
        reconstructed=f"{', '.join(late or silent)} do not say when their rows were known, and {because}",
    )


def _last_known(
    work: Work, contracts: Sequence[SourceContract], cleaned: CleanManifest
) -> dict[str, datetime | None]:
    """The instant at which the last fact of each source was known; None if a fact does not say so.

    A source without facts was known all the time.
    """
    days = {name: source.days for name, source in cleaned.sources.items()}
    known: dict[str, datetime | None] = {each.name: None for each in contracts}
    asked = [each for each in contracts if each.known_time is not None]
    keys = [[key for day in days.get(each.name, ()) for key in day.files] for each in asked]
    with closing(fetch_ahead(work.store, work.run.settings, keys)) as fetched:
        for contract, files in zip(asked, fetched, strict=True):
            rows = rows_of_days(files, days.get(contract.name, ()))
            if rows is None:
                known[contract.name] = work.run.window.as_of
                continue
            text = render("features/last_known", rows=rows, known=identifier(str(contract.known_time)))
            ((silent, newest),) = work.connection.execute(text).fetchall()
            if not silent and newest is not None:
                known[contract.name] = newest.replace(tzinfo=UTC)
    return known
