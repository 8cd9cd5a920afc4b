"""Captures the lake: every object of a feed, once per content.

A chunk is one object, identified by key, ETag and size. It is fetched once, rewritten as Parquet on the local disk,
counted there, and uploaded. Its folder is named by a digest of the object and of all that decides how its rows are read
and dated. It counts once its done-file exists. An object that cannot be read is set aside, and the others go on.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import event_instant
from crmbet.databases.duckdb_failures import describe_file_error, is_lack_of_resources
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, date_literal, literal, render
from crmbet.databases.work import Work
from crmbet.datasets.days import BATCH_DAYS
from crmbet.extract.day_counts import DayCounts, count_days
from crmbet.extract.formats import Reading, format_of, is_tool_file, readings
from crmbet.extract.ledger import Ledger, chunk_digest
from crmbet.extract.records import Capture, SourceCaptures, Unreadable
from crmbet.extract.unreadable import UnreadableObject
from crmbet.failures import SourceMissing, SourceUnreadable
from crmbet.run.progress import Progress
from crmbet.run.run import Run
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import StoredObject

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

NAMED_OBJECTS = 3
OBJECTS_UNDER_WAY = 8
"""Objects that are fetched, read or uploaded at once. No more than these lie on the local disk."""


def capture_feed(work: Work, contract: SourceContract) -> SourceCaptures | None:
    """Capture what is new in a feed. Returns all captures that the run uses, or None if an optional feed is absent.

    Raises `SourceMissing` if a required feed has no object, and `SourceUnreadable` if none of its objects can be read.
    For an optional feed, `validate_raw` decides how much may be unreadable.
    """
    run = work.run
    ledger = Ledger.read(work.store, run, contract.name)
    if run.rereads_the_past:
        return _unless_absent(work, ledger.known_at(run.known_at), contract)

    objects = _objects(work, contract)
    if not objects and run.params.source_deletions == "remove" and contract.required:
        # Refuse before anything is written: this run needs the feed, and the next one could not keep what was lost.
        raise _absence(work, contract)
    wanted = {_digest(run, contract, entry): entry for entry in objects}
    missing = {digest: entry for digest, entry in wanted.items() if not ledger.has(digest)}
    made, unreadable = _capture_all(work, contract, ledger, missing)
    read = [digest for digest in wanted if digest in made or digest not in missing]
    current = [made.get(digest) or ledger.by_digest[digest] for digest in read]
    used = ledger.settle(current, made=len(made), unreadable=unreadable)
    if unreadable and not used.captures:
        if not contract.required:
            return used
        raise SourceUnreadable(
            f"no object of the feed {contract.name} can be read",
            where=work.store.url(used.unreadable[0].chunk),
            why=used.unreadable[0].why,
            next_step="deliver it again as what its name says, and clear the task",
        )
    return _unless_absent(work, used, contract)


def _folder(run: Run, contract: SourceContract) -> str:
    return f"{run.settings.source.raw_prefix}{contract.relation}/"


def _objects(work: Work, contract: SourceContract) -> list[StoredObject]:
    """The objects of the feed's folder that can be read. Logs a warning for data of a format that is not read."""
    listed = list(work.store.list(_folder(work.run, contract)))
    unknown = [
        entry
        for entry in listed
        if entry.size and format_of(entry.key) is None and not is_tool_file(entry.key)
    ]
    if unknown:
        log.warning(
            "%s: %d objects are ignored, since their names do not end as those of the formats that we read: %s%s",
            work.store.url(_folder(work.run, contract)),
            len(unknown),
            ", ".join(entry.key for entry in unknown[:NAMED_OBJECTS]),
            ", ..." if len(unknown) > NAMED_OBJECTS else "",
        )
    return [entry for entry in listed if format_of(entry.key)]


def _unless_absent(work: Work, captures: SourceCaptures, contract: SourceContract) -> SourceCaptures | None:
    if captures.captures:
        return captures
    if not contract.required:
        return None
    raise _absence(work, contract)


def _absence(work: Work, contract: SourceContract) -> SourceMissing:
    return SourceMissing(
        f"the feed {contract.name} has no object",
        where=work.store.url(_folder(work.run, contract)),
        why=f"nothing had been captured by known_at {work.run.known_at.isoformat()}"
        if work.run.rereads_the_past
        else "the folder is empty, or holds no Parquet, CSV or JSON file",
        next_step="check the delivery, CRMBET_LAKE_BUCKET and CRMBET_RAW_PREFIX, then clear the task",
    )


def _capture_all(
    work: Work,
    contract: SourceContract,
    ledger: Ledger,
    objects: Mapping[str, StoredObject],
) -> tuple[dict[str, Capture], list[Unreadable]]:
    """Capture objects, given by digest. Returns the captures, by digest, and the objects that cannot be read.

    Each capture gets its done-file as soon as it is uploaded. Any other failure stops the run once the objects
    under way have finished.
    """
    made: dict[str, Capture] = {}
    unreadable: list[Unreadable] = []
    progress = Progress(log, f"captured {contract.name}", unit="objects", total=len(objects))
    with (
        scratch_folder(work.run.settings) as folder,
        ThreadPoolExecutor(OBJECTS_UNDER_WAY) as pool,
    ):
        capturing = _Capturing(work, contract, ledger, folder)
        tasks = {pool.submit(capturing.capture, digest, entry): entry for digest, entry in objects.items()}
        try:
            for task in as_completed(tasks):
                try:
                    capture = task.result()
                except UnreadableObject as error:
                    entry = tasks[task]
                    unreadable.append(Unreadable(chunk=entry.key, why=str(error)))
                    log.warning("%s cannot be read and is set aside: %s", work.store.url(entry.key), error)
                    progress.advance(1, 0)
                else:
                    made[capture.digest] = capture
                    progress.advance(1, capture.extracted)
        finally:
            pool.shutdown(cancel_futures=True)
    progress.finish()
    return made, unreadable


@dataclass
class _Capturing:
    """The capturing of one feed's objects, from several threads."""

    work: Work
    contract: SourceContract
    ledger: Ledger
    folder: Path
    turns: threading.Semaphore = field(init=False)
    """Bounds how many objects are read at once. Reading needs processor and memory; fetching and uploading wait."""

    def __post_init__(self) -> None:
        self.turns = threading.Semaphore(self.work.run.settings.engine.threads)

    def capture(self, digest: str, entry: StoredObject) -> Capture:
        """Capture one object and write its done-file. Raises `UnreadableObject`."""
        attempt = attempt_name()
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            local = Path(name) / "object"
            self.work.store.download(entry, local)
            with self.turns, self.work.connection.cursor() as cursor:
                written, types, counts = self._convert(cursor, local, entry)
            files = []
            if counts.rows:
                files = [
                    f"{self.work.run.layout.capture(self.contract.name, digest).prefix}{attempt}.parquet"
                ]
                if not self.work.run.params.dry_run:
                    self.work.store.upload(written, files[0])
        capture = Capture(
            source=self.contract.name,
            chunk=entry.key,
            digest=digest,
            files=files,
            types=dict(types),
            extracted=counts.rows,
            days=counts.days,
            latest_known_time=counts.latest_known_time,
            source_modified_at=entry.last_modified,
            captured_at=self.work.run.known_at,
            made_at=self.work.run.known_at,
        )
        (known,) = self.ledger.record([capture])
        return known

    def _convert(
        self, connection: duckdb.DuckDBPyConnection, local: Path, entry: StoredObject
    ) -> tuple[Path, Mapping[str, str], DayCounts]:
        """Rewrite an object as Parquet with the first reading that accounts for every record, and count it.

        Returns the file, the engine types of the columns that are not text, and the counts.
        """
        # A record's number is its place in the file, so reading must keep the order. This is set for the cursor of this
        # object only: the engine's other work needs no order.
        connection.execute("SET SESSION preserve_insertion_order = true")
        written = local.with_name("written.parquet")
        why = ""
        for reading in self._readings(connection, local, entry):
            why = self._write(connection, reading, entry, written)
            if not why:
                break
        if why:
            raise UnreadableObject(why)
        if reading.unknown_columns:
            names = ", ".join(reading.unknown_columns)[:300]
            log.warning("%s has columns that no contract names: %s", self.work.store.url(entry.key), names)
        counts = count_days(connection, written, self.contract, reading.types)
        if not counts.rows:
            log.warning("%s holds no record", self.work.store.url(entry.key))
        if len(counts.days) > BATCH_DAYS:
            written = _sort_by_day(connection, written)
        return written, reading.types, counts

    def _readings(
        self, connection: duckdb.DuckDBPyConnection, local: Path, entry: StoredObject
    ) -> Iterator[Reading]:
        import duckdb

        try:
            yield from readings(connection, local, entry.key, self.contract)
        except duckdb.Error as error:
            if is_lack_of_resources(error):
                raise
            raise UnreadableObject(describe_file_error(error, local.parent)) from None

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        reading: Reading,
        entry: StoredObject,
        written: Path,
    ) -> str:
        """Write the rows of a reading. Returns why they cannot be trusted, or an empty text if they can."""
        import duckdb

        copy = render(
            "extract/copy_to_capture",
            rows=Fragment(_place(reading, entry.key, self.contract, self.work.run)),
            url=literal(str(written)),
        )
        try:
            (rows,) = connection.execute(copy).fetchone() or (0,)
        except duckdb.Error as error:
            if is_lack_of_resources(error):
                raise
            return describe_file_error(error, written.parent)
        if rows != reading.records:
            return f"it holds {reading.records} records, its parser gives {rows}"
        return ""


def _place(reading: Reading, key: str, contract: SourceContract, run: Run) -> str:
    return render(
        "extract/place_rows",
        rows=Fragment(reading.query),
        source_key=literal(key),
        event_time=event_instant(contract, reading.types),
        zone=literal(run.settings.operator_timezone),
        earliest=date_literal(contract.earliest),
    )


def _sort_by_day(connection: duckdb.DuckDBPyConnection, written: Path) -> Path:
    """Sort a file of many days by day. It is read once for each batch of days, which then skips the rest."""
    ordered = written.with_name("ordered.parquet")
    connection.execute(render("extract/sort_by_day", file=literal(str(written)), url=literal(str(ordered))))
    return ordered


def _digest(run: Run, contract: SourceContract, entry: StoredObject) -> str:
    return chunk_digest(
        contract.name,
        entry.key,
        entry.etag,
        str(entry.size),
        contract.column_digest,
        contract.placement_digest,
        run.settings.operator_timezone,
    )
