"""Cleaning: captured rows become typed, unique rows, or go to quarantine with a reason. No row is lost on the way.

Works a batch of days at a time, so memory is bounded by a batch. A cleaned day is keyed by what it was made from: the
rows of that day in every chunk, the contract and the statements (docs/store.md).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date
from typing import TYPE_CHECKING

from crmbet.clean.records import CleanedSource
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import CAPTURED_TYPES, no_rows, typed_rows
from crmbet.databases.parquet import Located
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statements_digest
from crmbet.datasets.days import BATCH_DAYS, ensure_days, unmade_day, write_by_day
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.extract.captured import captured_rows
from crmbet.extract.records import UNDATED, Capture, SourceCaptures
from crmbet.failures import RowsUnaccounted
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

UNDATED_DAY = date(1, 1, 1)
"""The day under which rows without a readable event time are kept; they are all in quarantine."""

SNAPSHOT_DAY = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/")


def clean_source(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contract: SourceContract,
    captures: SourceCaptures,
) -> CleanedSource:
    """Clean a source for all days before as_of.

    Raises `RowsUnaccounted` unless accepted + quarantined + duplicates = extracted, for every day.
    """
    by_day, outside = rows_in_scope(run, contract, captures.captures)
    dataset = f"cleaned/source={contract.name}"

    def make(days: Sequence[date], files: Fetched) -> Iterable[DayFiles]:
        batch = {day: by_day[day] for day in days}
        return _clean_days(connection, store, files, run, contract, dataset, batch, wanted)

    def reads(day: date) -> list[str]:
        # Of what holds many days, or other chunks too, little may be of this one.
        return [
            key
            for capture in by_day[day]
            if capture.part is None and len(capture.days) <= BATCH_DAYS
            for key in capture.files
        ]

    wanted = day_digests(run, contract, by_day)
    extracted = {day: _extracted(contract, day, parts) for day, parts in by_day.items()}
    days, made = ensure_days(store, run, dataset, wanted, make, extracted, reads)
    log.info("cleaned %s: %d days, of which %d were made now", contract.name, len(days), len(made))
    quarantined: dict[str, int] = {}
    for day in days:
        for reason, rows in day.quarantined.items():
            quarantined[reason] = quarantined.get(reason, 0) + rows
    unknown_yet = sum(day.unknown_yet for day in days)
    if unknown_yet:
        outside["ingested after known_at"] = unknown_yet
    cleaned = CleanedSource(
        days=[day for day in days if day.day != UNDATED_DAY],
        quarantine_files=sorted({key for day in days for key in day.quarantine_files}),
        extracted=captures.extracted,
        accepted=sum(day.rows for day in days),
        duplicates=sum(day.duplicates for day in days),
        quarantined=dict(sorted(quarantined.items())),
        outside=outside,
        made=made,
    )
    if not run.params.dry_run:
        _account_source(cleaned, contract)
    return cleaned


def rows_in_scope(
    run: Run, contract: SourceContract, captures: Iterable[Capture]
) -> tuple[dict[date, list[Capture]], dict[str, int]]:
    """The captures behind each day before as_of, and the rows that this run does not look at, by reason.

    A current-state feed has one day: its newest snapshot before as_of, dated by `dt=` or else by when its object was
    last modified.
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


def typed_day(
    store: Located,
    contract: SourceContract,
    captures: Sequence[Capture],
    days: Iterable[date],
) -> str:
    """SELECT of the typed, judged rows of some days, duplicates included; no captures give no rows."""
    filled = [capture for capture in captures if capture.files]
    if not filled:
        return no_rows(contract)
    if contract.event_time is None:
        (snapshot,) = days
        day = Fragment(f"DATE {literal(snapshot.isoformat())}")
    else:
        day = Fragment("_day")
    return "\nUNION ALL\n".join(
        f"({typed_rows(contract, captured_rows(store, alike), alike[0].types, day)})"
        for alike in _by_types(filled)
    )


def _by_types(captures: Sequence[Capture]) -> list[list[Capture]]:
    """Captures whose columns have the same types: the engine would read all of them as the types of the first file."""
    alike: dict[frozenset[tuple[str, str]], list[Capture]] = {}
    for capture in captures:
        alike.setdefault(frozenset(capture.types.items()), []).append(capture)
    return list(alike.values())


def _clean_days(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    fetched: Fetched,
    run: Run,
    contract: SourceContract,
    dataset: str,
    batch: dict[date, list[Capture]],
    digests: dict[date, str],
) -> list[DayFiles]:
    captures = list({capture.digest: capture for parts in batch.values() for capture in parts}.values())
    rows = Fragment(typed_day(fetched, contract, captures, batch))
    days = joined([Fragment(f"DATE {literal(day.isoformat())}") for day in batch])
    known_at = Fragment(
        f"TIMESTAMP {literal(run.known_at.astimezone(UTC).replace(tzinfo=None).isoformat(' '))}"
    )
    key = joined([identifier(name) for name in contract.business_key])
    columns = joined([identifier(name) for name in contract.columns])

    connection.execute(render("clean/type_batch", rows=rows, days=days))
    connection.execute(render("clean/rank_duplicates", key=key, columns=columns, known_at=known_at))
    accepted = render("clean/select_accepted", columns=columns, known_at=known_at)
    quarantined = render("clean/select_quarantined", key=key, run_id=literal(run.run_id), known_at=known_at)
    fates = connection.execute(render("clean/count_fates", known_at=known_at)).fetchall()
    made = {day: unmade_day(run, day, digests[day]) for day in batch}
    wanted = {day: digests[day] for day in batch}
    for file in write_by_day(connection, store, run, dataset, accepted, wanted):
        made[file.day] = made[file.day].model_copy(update={"files": [*made[file.day].files, file.key]})
    if any(fate == "quarantined" for _, fate, _, _ in fates):
        for file in write_by_day(
            connection, store, run, f"quarantine/source={contract.name}", quarantined, wanted
        ):
            kept = [*made[file.day].quarantine_files, file.key]
            made[file.day] = made[file.day].model_copy(update={"quarantine_files": kept})
    for day, fate, fault, count in fates:
        made[day] = made[day].model_copy(update=_fate(made[day], fate, fault, count))
    connection.execute("DROP TABLE typed")
    connection.execute("DROP TABLE duplicates")
    for day, parts in batch.items():
        _account_day(made[day], _extracted(contract, day, parts), contract)
    return list(made.values())


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


def _snapshot_day(capture: Capture, run: Run) -> date:
    dated = SNAPSHOT_DAY.search(capture.chunk)
    if dated:
        # A folder named after a day that does not exist says nothing.
        with suppress(ValueError):
            return date.fromisoformat(dated.group(1))
    modified = capture.source_modified_at or capture.captured_at
    return modified.astimezone(run.settings.zone).date()


def _rules(contract: SourceContract) -> str:
    """Changes with anything that decides what becomes of a row: the contract, the statements, their typing rules."""
    generated = [
        typed_rows(
            contract, Fragment("files"), dict.fromkeys(contract.columns, captured_as), Fragment("_day")
        )
        for captured_as in CAPTURED_TYPES
    ]
    return repr((contract.digest, statements_digest(".", "clean"), generated))


def _digest(run: Run, rules: str, day: date, captures: Iterable[Capture]) -> str:
    """Identity of a cleaned day. Of a chunk only this day's rows count, so a new one touches its own days alone."""
    digest = hashlib.sha256()
    iso = UNDATED if day == UNDATED_DAY else day.isoformat()
    parts = []
    late = False
    for capture in captures:
        contents = capture.days.get(iso)
        parts.append((capture.chunk, contents.fingerprint if contents else capture.digest))
        late |= capture.latest_known_time is not None and capture.latest_known_time > run.known_at
    known_at = run.known_at.isoformat() if late else ""
    digest.update(repr((rules, known_at, sorted(parts))).encode())
    return digest.hexdigest()[:24]


def _account_day(day: DayFiles, extracted: int, contract: SourceContract) -> None:
    found = day.rows + day.duplicates + day.unknown_yet + sum(day.quarantined.values())
    if found != extracted:
        raise RowsUnaccounted(
            f"{extracted} rows of {contract.name} went into cleaning on {day.day}, {found} came out",
            where=f"clean, source {contract.name}, day {day.day}",
            next_step="clear clean; if it happens again, report it as a defect: nothing has been loaded",
        )


def _account_source(cleaned: CleanedSource, contract: SourceContract) -> None:
    found = (
        cleaned.accepted
        + cleaned.duplicates
        + sum(cleaned.quarantined.values())
        + sum(cleaned.outside.values())
    )
    if found != cleaned.extracted:
        raise RowsUnaccounted(
            f"{cleaned.extracted} rows of {contract.name} were extracted, {found} are accounted for",
            where=f"clean, source {contract.name}",
            next_step="clear clean; if it happens again, report it as a defect: nothing has been loaded",
        )
