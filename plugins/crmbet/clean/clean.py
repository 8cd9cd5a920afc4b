"""Cleaning: captured rows become typed, unique rows, or go to quarantine with a reason. No row is lost on the way.

It works on one batch of days at a time, which bounds its memory. A cleaned day is kept by a digest of what it was
made from: that day's rows in every chunk, the contract and the statements (docs/store.md).
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from crmbet.clean.records import UNDATED_DAY, CleanedSource
from crmbet.clean.typed import has_doubtful_ids, typed_batch
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.plain import looked_over_rows
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import CAPTURED_TYPES, cleaned_columns, typed_rows
from crmbet.databases.statements import (
    Fragment,
    identifier,
    instant_literal,
    joined,
    literal,
    render,
    statements_digest,
)
from crmbet.databases.work import Work
from crmbet.datasets.days import (
    EnsuredDays,
    WantedDay,
    ensure_all_days,
    make_shard_of_days,
    write_days,
)
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.datasets.sending import Sending
from crmbet.extract.records import UNDATED, Capture, SourceCaptures
from crmbet.failures import RowsUnaccounted
from crmbet.run.run import Run
from crmbet.run.shards import Shard
from crmbet.storage.digests import digest
from crmbet.storage.done_files import read_ahead

log = logging.getLogger(__name__)

SNAPSHOT_DAY = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/")


def clean_sources(
    work: Work,
    contracts: Mapping[str, SourceContract],
    captured: Mapping[str, SourceCaptures],
    erased: ErasedPlayers = NOBODY,
) -> dict[str, CleanedSource]:
    """Clean sources for all days before as_of: one after the other, and what is asked of the store for all at once.

    Raises `RowsUnaccounted` unless every extracted row is accepted, quarantined, a duplicate, erased or outside of the
    run.
    """
    layout = work.run.layout
    scopes = {
        name: rows_in_scope(work.run, contracts[name], captures.captures)
        for name, captures in captured.items()
    }
    cleanings = [CleanedDays(work, contracts[name], by_day, erased) for name, (by_day, _) in scopes.items()]
    quarantines = [layout.dataset(f"quarantine/source={name}") for name in captured]
    with read_ahead(work.store, [layout.dataset(each.name) for each in cleanings], *quarantines):
        ensured = ensure_all_days(work, cleanings)
    return {
        name: _cleaned(cleaning, days, captures, scopes[name][1])
        for (name, captures), cleaning, days in zip(captured.items(), cleanings, ensured, strict=True)
    }


def clean_source(
    work: Work, contract: SourceContract, captures: SourceCaptures, erased: ErasedPlayers = NOBODY
) -> CleanedSource:
    """Clean one source, as `clean_sources` does."""
    name = contract.name
    return clean_sources(work, {name: contract}, {name: captures}, erased)[name]


def _cleaned(
    cleaning: CleanedDays, ensured: EnsuredDays, captures: SourceCaptures, outside: dict[str, int]
) -> CleanedSource:
    """The account of a source. Raises `RowsUnaccounted`."""
    work, contract, days = cleaning.work, cleaning.contract, ensured.days
    log.info("cleaned %s: %d days, %d of them made now", contract.name, len(days), len(ensured.made))
    quarantined: Counter[str] = Counter()
    discarded: Counter[str] = Counter()
    for day in days:
        quarantined.update(day.quarantined)
        discarded.update(day.discarded)
    unknown_yet = sum(day.unknown_yet for day in days)
    if unknown_yet:
        outside["ingested after known_at"] = unknown_yet
    cleaned = CleanedSource(
        days=[day for day in days if day.day != UNDATED_DAY],
        undated=next((day for day in days if day.day == UNDATED_DAY), None),
        quarantine_files=sorted({key for day in days for key in day.quarantine_files}),
        extracted=captures.extracted,
        accepted=sum(day.rows for day in days),
        duplicates=sum(day.duplicates for day in days),
        quarantined=dict(sorted(quarantined.items())),
        discarded=dict(sorted(discarded.items())),
        erased=sum(day.erased for day in days),
        delivered_again=cleaning.delivered_again.total(),
        outside=outside,
        made=ensured.made,
    )
    if cleaned.delivered_again:
        log.warning(
            "%s: the source still delivers players who were erased: %d rows were left out",
            contract.name,
            cleaned.delivered_again,
        )
    if not work.run.params.dry_run:
        _account_source(cleaned, contract)
    return cleaned


def clean_shard_of_source(
    work: Work,
    contract: SourceContract,
    captures: SourceCaptures,
    shard: Shard,
    *,
    erased: ErasedPlayers = NOBODY,
) -> list[date]:
    """Clean the missing days of one part of a source, for `clean_source` to find. Returns them."""
    by_day, _ = rows_in_scope(work.run, contract, captures.captures)
    return make_shard_of_days(work, CleanedDays(work, contract, by_day, erased), shard)


def rows_in_scope(
    run: Run, contract: SourceContract, captures: Iterable[Capture]
) -> tuple[dict[date, list[Capture]], dict[str, int]]:
    """The captures behind each day before as_of, and the rows that the run does not look at, by reason.

    A current-state feed has one day: its newest snapshot before as_of. `dt=` in the key dates it, or else the time at
    which its object was last modified.
    """
    outside: dict[str, int] = {}
    by_day: dict[date, list[Capture]] = {}

    def leave_out(reason: str, rows: int) -> None:
        if rows:
            outside[reason] = outside.get(reason, 0) + rows

    if contract.event_time is None:
        snapshots: dict[date, list[Capture]] = {}
        for capture in captures:
            snapshots.setdefault(_snapshot_day(capture, run), []).append(capture)
        past = [day for day in snapshots if day < run.as_of_date]
        for day, parts in snapshots.items():
            if past and day == max(past):
                by_day[day] = parts
            else:
                reason = "older snapshots" if day < run.as_of_date else "at or after as_of"
                leave_out(reason, sum(part.extracted for part in parts))
        return by_day, outside

    for capture in captures:
        for iso, count in capture.days.items():
            day = UNDATED_DAY if iso == UNDATED else date.fromisoformat(iso)
            if day >= run.as_of_date:
                leave_out("at or after as_of", count.rows)
            else:
                by_day.setdefault(day, []).append(capture)
    return by_day, outside


def day_digests(
    run: Run, contract: SourceContract, by_day: Mapping[date, Sequence[Capture]]
) -> dict[date, str]:
    """Identity of each cleaned day, from the captures behind it."""
    rules = _rules(contract)
    return {day: _digest(run, rules, day, parts) for day, parts in by_day.items()}


def dataset_name(source: str) -> str:
    """The dataset of a source's cleaned days."""
    return f"cleaned/source={source}"


@dataclass(frozen=True)
class CleanedDays:
    """The dataset of a source's cleaned days."""

    work: Work
    contract: SourceContract
    by_day: Mapping[date, Sequence[Capture]]
    """The captures behind each day."""
    erased: ErasedPlayers = NOBODY
    delivered_again: Counter[date] = field(default_factory=Counter)
    """Rows of erased players that captures still hold, by the days that were made."""

    @property
    def name(self) -> str:
        """One dataset a source."""
        return dataset_name(self.contract.name)

    def wanted(self) -> Mapping[date, WantedDay]:
        """Every day, made from its rows in all captures."""
        digests = day_digests(self.work.run, self.contract, self.by_day)
        return {
            day: WantedDay(
                digest=digests[day],
                rows=_extracted(self.contract, day, captures),
                reads=[key for capture in captures for key in capture.files],
            )
            for day, captures in self.by_day.items()
        }

    def make(self, days: Mapping[date, WantedDay], files: Fetched, outgoing: Sending) -> Iterable[DayFiles]:
        """Clean some days in one pass. Raises `RowsUnaccounted` if rows went in and did not come out."""
        batch = [capture for day in days for capture in self.by_day[day]]
        captures = list({capture.digest: capture for capture in batch}.values())
        with typed_batch(
            self.work.connection, self.contract, files, captures, days, erased=self.erased
        ) as left_out:
            made = self._write(days, outgoing)
        self.work.connection.execute("DROP TABLE duplicates")
        self.delivered_again.update(left_out)
        for day, wanted in days.items():
            gone = sum(_erased(self.contract, day, capture) for capture in self.by_day[day])
            made[day] = made[day].model_copy(update={"erased": gone + left_out.get(day, 0)})
            _account_day(made[day], wanted.rows, self.contract)
        return list(made.values())

    def _write(self, days: Mapping[date, WantedDay], outgoing: Sending) -> dict[date, DayFiles]:
        """Send the files of the rows that are in `typed`."""
        connection, contract, run = self.work.connection, self.contract, self.work.run
        known_at = instant_literal(run.known_at)
        key = joined([identifier(name) for name in contract.business_key])
        columns = joined([identifier(name) for name in contract.columns])
        connection.execute(render("clean/rank_duplicates", key=key, columns=columns, known_at=known_at))
        fates = connection.execute(render("clean/count_fates", known_at=known_at)).fetchall()
        discarded = connection.execute(render("clean/count_discarded", known_at=known_at)).fetchall()
        accepted = render("clean/select_accepted", columns=cleaned_columns(contract), known_at=known_at)
        # Numbers of rows are counted by fate, which includes rows that no file holds.
        made = {
            part.day: part.model_copy(update={"rows": 0})
            for part in write_days(self.work, self.name, accepted, days, outgoing)
        }
        if any(fate == "quarantined" for _, fate, _, _ in fates):
            rows = render(
                "clean/select_quarantined",
                key=key,
                happened=identifier(contract.event_time)
                if contract.event_time
                else Fragment("NULL::TIMESTAMP"),
                run_id=literal(run.run_id),
                known_at=known_at,
            )
            for part in write_days(self.work, f"quarantine/source={contract.name}", rows, days, outgoing):
                made[part.day] = made[part.day].model_copy(
                    update={"quarantine_files": part.files, "days_in_quarantine": part.days_in_files}
                )
        for day, fate, fault, count in fates:
            made[day] = made[day].model_copy(update=_fate(made[day], fate, fault, count))
        for day, name, count in discarded:
            values = {**made[day].discarded, name: count}
            made[day] = made[day].model_copy(update={"discarded": values})
        return made


def _fate(day: DayFiles, fate: str, fault: str | None, rows: int) -> dict[str, object]:
    match fate:
        case "accepted":
            return {"rows": rows}
        case "duplicate":
            return {"duplicates": rows}
        case "unknown yet":
            return {"unknown_yet": day.unknown_yet + rows}
        case _:
            return {"quarantined": {**day.quarantined, str(fault): rows}}


def _extracted(contract: SourceContract, day: date, captures: Iterable[Capture]) -> int:
    if contract.event_time is None:
        return sum(capture.extracted for capture in captures)
    iso = UNDATED if day == UNDATED_DAY else day.isoformat()
    return sum(capture.days[iso].rows for capture in captures)


def _erased(contract: SourceContract, day: date, capture: Capture) -> int:
    """Rows of a day that a capture holds no more."""
    if contract.event_time is None:
        return sum(capture.erased.values())
    return capture.erased.get(UNDATED if day == UNDATED_DAY else day.isoformat(), 0)


def _snapshot_day(capture: Capture, run: Run) -> date:
    dated = SNAPSHOT_DAY.search(capture.chunk)
    if dated:
        # The folder's name may look like a day that does not exist.
        with suppress(ValueError):
            return date.fromisoformat(dated.group(1))
    modified = capture.source_modified_at or capture.captured_at
    return modified.astimezone(run.settings.zone).date()


def _rules(contract: SourceContract) -> str:
    """Identity of all that decides the fate of a row: the contract, the statements, and the typing rules."""
    files, day = Fragment("files"), Fragment("_day")
    generated = [
        rows(contract, files, dict.fromkeys(contract.columns, captured_as), day)
        for captured_as in CAPTURED_TYPES
        for rows in (looked_over_rows, typed_rows)
    ]
    generated.append(typed_rows(contract, files, {}, day, doubtful_ids=True))
    # Every day's digest has it, so it is short.
    return digest(repr((contract.digest, statements_digest(".", "clean"), generated)))


def _digest(run: Run, rules: str, day: date, captures: Iterable[Capture]) -> str:
    """Identity of a cleaned day. Only this day's rows of a chunk count, so a new chunk changes its own days alone."""
    iso = UNDATED if day == UNDATED_DAY else day.isoformat()
    parts = []
    late = False
    for capture in captures:
        contents = capture.days.get(iso)
        fingerprint = contents.fingerprint if contents else capture.digest
        parts.append((capture.chunk, fingerprint + (" doubtful" if has_doubtful_ids(capture) else "")))
        late |= capture.latest_known_time is not None and capture.latest_known_time > run.known_at
    known_at = run.known_at.isoformat() if late else ""
    return digest(repr((rules, known_at, sorted(parts))))


def _account_day(day: DayFiles, extracted: int, contract: SourceContract) -> None:
    accounted = day.rows + day.duplicates + day.unknown_yet + day.erased + sum(day.quarantined.values())
    if accounted != extracted:
        raise RowsUnaccounted(
            f"{extracted} rows of {contract.name} went into cleaning on {day.day}, {accounted} came out",
            where=f"clean, source {contract.name}, day {day.day}",
            next_step="clear clean; if it happens again, report it as a defect: nothing has been loaded",
        )


def _account_source(cleaned: CleanedSource, contract: SourceContract) -> None:
    accounted = (
        cleaned.accepted
        + cleaned.duplicates
        + cleaned.erased
        + sum(cleaned.quarantined.values())
        + sum(cleaned.outside.values())
    )
    if accounted != cleaned.extracted:
        raise RowsUnaccounted(
            f"{cleaned.extracted} rows of {contract.name} were extracted, {accounted} are accounted for",
            where=f"clean, source {contract.name}",
            next_step="clear clean; if it happens again, report it as a defect: nothing has been loaded",
        )
