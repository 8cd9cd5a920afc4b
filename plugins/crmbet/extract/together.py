"""Captures small lake objects many at a time: one statement, one file and one done-file for all of a lot.

Each object stays a chunk of its own, with its own digest, counts and fingerprints. `_source_key` tells their rows apart
in the file. If anything about a lot is unusual, none of it is captured here: its objects are read one by one then,
which tells whose fault it is.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.databases.scratch import lack_of_room_explained
from crmbet.databases.statements import Fragment, joined, literal, quoted, render
from crmbet.databases.work import Work
from crmbet.extract.day_counts import DayCounts, count_parts
from crmbet.extract.decoding import UnpackLimits
from crmbet.extract.formats import Reading, missing_columns, plain_parquet, plain_reading, unknown_columns
from crmbet.extract.gathering import Likeness, Part, files, gather, likeness_of, places
from crmbet.extract.identities import Identity
from crmbet.extract.ledger import Ledger
from crmbet.extract.names import columns_read
from crmbet.extract.records import Capture
from crmbet.extract.unreadable import UnreadableObject
from crmbet.extract.writing import MANY_DAYS, place_rows, sort_by_day, write_capture
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import StoredObject
from crmbet.storage.verified import keep_file

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)


def capture_lot(
    work: Work,
    contract: SourceContract,
    ledger: Ledger,
    lot: Mapping[Identity, StoredObject],
    scratch: Path,
    *,
    turn: Callable[[], AbstractContextManager[None]],
) -> list[Capture]:
    """Capture those small objects of a lot that can be read together. All others have to be captured alone.

    Whoever reads waits for a `turn`.
    """
    limits = UnpackLimits.of(work.run.settings.engine)
    made: list[Capture] = []
    with lack_of_room_explained(scratch), tempfile.TemporaryDirectory(dir=scratch) as name:
        folders = [Path(name) / str(number) for number in range(len(lot))]
        for folder in folders:
            folder.mkdir()
        copies = [folder / "object" for folder in folders]
        work.store.in_parallel(
            lambda pair: work.store.download(*pair), list(zip(lot.values(), copies, strict=True))
        )
        groups: dict[Likeness, list[Part]] = {}
        for (identity, entry), path in zip(lot.items(), copies, strict=True):
            # What is wrong with an object is said when it is captured alone.
            with suppress(UnreadableObject):
                if found := likeness_of(path, identity, entry, contract, limits):
                    groups.setdefault(found[0], []).append(found[1])
        for number, (likeness, parts) in enumerate(groups.items()):
            if len(parts) > 1:
                path = Path(name) / f"gathered-{number}"
                with turn():
                    together = _read_together(work, contract, likeness, parts, path)
                if together:
                    made += _record(work, contract, ledger, together)
    return made


@dataclass(frozen=True, kw_only=True)
class _Together:
    """Parts that are alike, after they have been written as one captured file."""

    reading: Reading
    parts: Sequence[Part]
    written: Path
    counts: Mapping[str, DayCounts]
    """By the key of the object; one without rows is left out."""
    names: Mapping[str, Sequence[str]]
    """The names in the records of each object, if each record has its own."""
    incomplete: Mapping[str, Sequence[str]]
    """Then also the columns that have no value in some record of an object."""


def _read_together(
    work: Work, contract: SourceContract, likeness: Likeness, parts: Sequence[Part], path: Path
) -> _Together | None:
    """Read and write parts, and count what was written. None if anything is unusual, whatever it is."""
    import duckdb

    written = path.with_name(f"{path.name}.parquet")
    try:
        with work.connection.cursor() as cursor:
            # The numbers of records are their places in the file.
            cursor.execute("SET SESSION preserve_insertion_order = true")
            limits = UnpackLimits.of(work.run.settings.engine)
            reading = _placed_reading(cursor, contract, likeness, parts, path, limits=limits)
            if reading is None:
                return None
            query = place_rows(reading, None, contract, work.run)
            if write_capture(cursor, reading, query, written):
                return None
            counts = count_parts(cursor, written, contract, reading.types)
            if any(part.records != _rows(counts, part) for part in parts):
                return None
            names: dict[str, Sequence[str]] = {}
            incomplete: dict[str, Sequence[str]] = {}
            if reading.source:
                names = _names(cursor, reading, parts)
                if any(
                    missing_columns(names.get(part.entry.key, ()), contract) for part in parts if part.records
                ):
                    return None
                incomplete = _incomplete(cursor, written, contract)
            if len({day for of_part in counts.values() for day in of_part.days}) > MANY_DAYS:
                written = sort_by_day(cursor, written)
    except (UnreadableObject, duckdb.Error) as error:
        log.info("%d objects of %s are read one by one: %s", len(parts), contract.name, type(error).__name__)
        return None
    return _Together(
        reading=reading, parts=parts, written=written, counts=counts, names=names, incomplete=incomplete
    )


def _placed_reading(
    connection: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    likeness: Likeness,
    parts: Sequence[Part],
    path: Path,
    *,
    limits: UnpackLimits,
) -> Reading | None:
    """The reading of all parts, whose rows say of which object they are; None if anything is unusual."""
    records = sum(part.records for part in parts)
    if likeness.format == "parquet":
        reading = plain_parquet(connection, [part.path for part in parts], contract, limits)
        statement, beginnings = "extract/place_files", files(parts)
    else:
        gather(parts, path)
        reading = plain_reading(connection, path, likeness.format, contract)
        if reading and reading.records != records:
            return None
        statement, beginnings = "extract/place_parts", places(parts)
    if reading is None:
        return None
    query = render(statement, rows=Fragment(reading.query), places=beginnings)
    return replace(reading, query=query, records=records)


def _rows(counts: Mapping[str, DayCounts], part: Part) -> int:
    found = counts.get(part.entry.key)
    return found.rows if found else 0


def _names(
    connection: duckdb.DuckDBPyConnection, reading: Reading, parts: Sequence[Part]
) -> dict[str, Sequence[str]]:
    query = render("extract/name_json_keys_of_parts", records=Fragment(reading.source), places=places(parts))
    return dict(connection.execute(query).fetchall())


def _incomplete(
    connection: duckdb.DuckDBPyConnection, written: Path, contract: SourceContract
) -> dict[str, Sequence[str]]:
    columns = joined(
        [
            Fragment(f"CASE WHEN bool_or({quoted(name)} IS NULL) THEN {literal(name)} END")
            for name in contract.columns
        ]
    )
    query = render("extract/list_incomplete_columns_of_parts", columns=columns, file=literal(str(written)))
    return dict(connection.execute(query).fetchall())


def _record(work: Work, contract: SourceContract, ledger: Ledger, together: _Together) -> list[Capture]:
    """Upload the file and write its done-file."""
    run, reading = work.run, together.reading
    keys: list[str] = []
    if together.counts:
        first = together.parts[0].identity.digest
        keys = [f"{run.layout.capture(contract.name, first).prefix}{attempt_name()}.parquet"]
        if not run.params.dry_run:
            keys = [keep_file(work.store, together.written, keys[0])]
    captures = []
    for part in together.parts:
        counts = together.counts.get(part.entry.key)
        unknown = reading.unknown_columns
        if reading.source:
            unknown = unknown_columns(together.names.get(part.entry.key, ()), contract)
        if unknown:
            names = ", ".join(unknown)[:300]
            log.warning("%s has columns that no contract names: %s", work.store.url(part.entry.key), names)
        if counts is None:
            log.warning("%s holds no record", work.store.url(part.entry.key))
        read = replace(reading, unknown_columns=unknown)
        captures.append(
            Capture(
                source=contract.name,
                chunk=part.entry.key,
                digest=part.identity.digest,
                files=keys if counts else [],
                chunks_in_files=len(together.counts),
                types=dict(reading.types),
                columns_read=columns_read(
                    read,
                    contract,
                    part.entry.key,
                    content=part.identity.content,
                    incomplete=together.incomplete.get(part.entry.key, ()),
                ),
                extracted=counts.rows if counts else 0,
                size=part.size,
                days=counts.days if counts else {},
                exact_ids=True,
                latest_known_time=counts.latest_known_time if counts else None,
                source_modified_at=part.entry.last_modified,
                captured_at=run.known_at,
                made_at=run.known_at,
            )
        )
    return ledger.record(captures)
