"""Captures the lake: every object of a feed, once per content.

A chunk is one object, identified by key, ETag and size. It is fetched once, rewritten as Parquet on the local disk,
counted there, and uploaded. Small objects share a file. The folder is named by a digest of the object and of all that
decides how its rows are read and dated. It counts once its done-file exists. An object that cannot be read is set
aside, and the others go on.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb_failures import describe_file_error, is_lack_of_resources
from crmbet.databases.scratch import lack_of_room_explained, scratch_folder
from crmbet.databases.statements import literal, render
from crmbet.databases.work import Work
from crmbet.extract.day_counts import DayCounts, count_days
from crmbet.extract.decoding import UnpackLimits
from crmbet.extract.deliveries import Deliveries
from crmbet.extract.formats import Reading, readings
from crmbet.extract.gathering import lots
from crmbet.extract.identities import Identities, Identity
from crmbet.extract.joining import join_months
from crmbet.extract.ledger import Ledger
from crmbet.extract.listing import Listing, Table, describe_passed_over, some_objects, sort_listing
from crmbet.extract.names import columns_read, incomplete_columns
from crmbet.extract.parquet_mending import NAMED_LOSSES
from crmbet.extract.records import Capture, SourceCaptures, Unreadable
from crmbet.extract.together import capture_lot
from crmbet.extract.unreadable import UnreadableObject
from crmbet.extract.writing import MANY_DAYS, place_rows, sort_by_day, write_capture
from crmbet.failures import SourceMissing, SourceUnreadable
from crmbet.run.progress import Progress
from crmbet.run.run import Run
from crmbet.run.shards import Shard
from crmbet.storage.done_files import read_ahead
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import StoredObject
from crmbet.storage.threads import in_parallel, threads
from crmbet.storage.verified import keep_file

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

OBJECTS_UNDER_WAY = 8
"""Objects that are fetched, read or uploaded at once, of all feeds. No more than these lie on the local disk."""
FEEDS_AT_ONCE = 4
"""Feeds that are captured side by side: of a few new objects, one feed mostly waits for requests."""


def capture_feeds(work: Work, contracts: Iterable[SourceContract]) -> dict[str, SourceCaptures | None]:
    """Capture feeds side by side, after what is known of all of them has been read at once.

    Returns and raises as `capture_feed` does.
    """
    feeds = list(contracts)
    captured = [work.run.layout.captures(contract.name) for contract in feeds]
    delivered = [] if work.run.rereads_the_past else [_folder(work.run, contract) for contract in feeds]
    bounds = _Bounds(work.run.settings.engine.threads)

    def capture(contract: SourceContract) -> SourceCaptures | None:
        with work.connection.cursor() as cursor:
            return capture_feed(replace(work, connection=cursor), contract, bounds)

    with read_ahead(work.store, captured, *delivered):
        used = in_parallel(capture, feeds, FEEDS_AT_ONCE)
    return {contract.name: captures for contract, captures in zip(feeds, used, strict=True)}


def capture_feed(
    work: Work, contract: SourceContract, bounds: _Bounds | None = None
) -> SourceCaptures | None:
    """Capture what is new in a feed. Returns all captures that the run uses, or None if an optional feed is absent.

    `bounds` are shared with feeds that are captured at the same time.

    Raises `SourceMissing` if a required feed has no object, and `SourceUnreadable` if none of its objects can be read,
    or if a table format such as Delta manages them. For an optional feed, `validate_raw` decides how much may be
    unreadable.
    """
    run = work.run
    ledger = Ledger.read(work.store, run, contract.name)
    if run.rereads_the_past:
        return _unless_absent(work, ledger.known_at(run.known_at), contract)

    listing = _list_objects(work, contract)
    objects = listing.read
    if not objects and run.params.source_deletions == "remove" and contract.required:
        # Refuse before anything is written: this run needs the feed, and the next one could not keep what was lost.
        raise _absence(work, contract, listing)
    found, missing = Identities(run, contract).look_up(objects, ledger)
    made, unreadable = _capture_all(work, contract, ledger, missing, bounds)
    current = [*found, *made]
    if unreadable:
        unreadable = _mark_foreign(work, contract, ledger, unreadable)
    used = ledger.settle(current, made=len(made), unreadable=unreadable)
    if not run.params.dry_run:
        used = join_months(work, ledger, used)
    holds_nothing = {capture.chunk for capture in current if not capture.extracted}
    empty = [entry for entry in objects if entry.key in holds_nothing]
    used = used.model_copy(
        update={"passed_over": listing.passed_over, "empty": some_objects(empty) if empty else None}
    )
    if unreadable and not used.captures:
        if not contract.required:
            return used
        raise SourceUnreadable(
            f"no object of the feed {contract.name} can be read",
            where=work.store.url(used.unreadable[0].chunk),
            why=used.unreadable[0].why,
            next_step="deliver it again as what its name says, and clear the task",
        )
    return _unless_absent(work, used, contract, listing)


def capture_shard_of_feed(work: Work, contract: SourceContract, shard: Shard) -> int:
    """Capture what is new in one part of a feed, for `capture_feed` to find. Returns the number of captures."""
    if work.run.rereads_the_past:
        return 0
    ledger = Ledger.read(work.store, work.run, contract.name)
    objects = [entry for entry in _list_objects(work, contract).read if shard.has(entry.key)]
    _, missing = Identities(work.run, contract).look_up(objects, ledger)
    made, _ = _capture_all(work, contract, ledger, missing)
    return len(made)


def _folder(run: Run, contract: SourceContract) -> str:
    return f"{run.settings.source.raw_prefix}{contract.relation}/"


def _list_objects(work: Work, contract: SourceContract) -> Listing:
    """The objects of the feed's folder, those passed over being logged. Raises `SourceUnreadable` if it has a table."""
    folder = _folder(work.run, contract)
    listing = sort_listing(folder, work.store.list(folder))
    if listing.table:
        raise _refuse_table(work, contract, listing.table)
    if listing.passed_over:
        # What has an ending that no format has may be a delivery. The rest is usual.
        level = logging.WARNING if "ending" in listing.passed_over else logging.INFO
        described = describe_passed_over(listing.passed_over)
        log.log(level, "%s: passed over: %s", work.store.url(folder), described)
    return listing


def _refuse_table(work: Work, contract: SourceContract, table: Table) -> SourceUnreadable:
    return SourceUnreadable(
        f"the feed {contract.name} has a table of the format {table.format}",
        where=work.store.url(table.folder),
        why=f"this folder is {table.description}; reading its data files directly would count deleted rows",
        next_step="have the table's newest snapshot exported as plain Parquet into a folder of its own, name that "
        f"folder as the relation in include/contracts/sources/{contract.name}.yaml, and clear the task. If the table "
        "is not this feed, move it out of the folder",
    )


def _mark_foreign(
    work: Work, contract: SourceContract, ledger: Ledger, unreadable: list[Unreadable]
) -> list[Unreadable]:
    """Say of unreadable objects whether they are like any delivery that was ever read, in this run or before.

    None is foreign in a feed that protects players: what it says of them must not be missing, whoever delivered it.
    """
    if contract.protecting or contract.protecting_rows:
        return unreadable
    folder = _folder(work.run, contract)
    read: list[str] = []
    empty: list[str] = []
    for capture in ledger.by_digest.values():
        (read if _is_delivery(capture) else empty).append(capture.chunk.removeprefix(folder))
    deliveries = Deliveries.of(read, empty)
    marked = []
    for entry in unreadable:
        is_foreign = deliveries.is_foreign(entry.chunk.removeprefix(folder))
        marked.append(entry.model_copy(update={"is_foreign": is_foreign}))
        if is_foreign:
            log.warning("%s is like no delivery that was ever read", work.store.url(entry.chunk))
    return marked


def _is_delivery(capture: Capture) -> bool:
    """Whether a captured object has the columns of the feed. One of no bytes may be anything."""
    read = capture.columns_read
    return capture.extracted > 0 or (read is not None and not read.by_record)


def _unless_absent(
    work: Work, captures: SourceCaptures, contract: SourceContract, listing: Listing | None = None
) -> SourceCaptures | None:
    """The captures of a feed. An optional one that was passed over as a whole is not absent: the gate judges that."""
    if captures.captures:
        return captures
    if not contract.required:
        return captures if captures.passed_over else None
    raise _absence(work, contract, listing)


def _absence(work: Work, contract: SourceContract, listing: Listing | None) -> SourceMissing:
    if work.run.rereads_the_past:
        why = f"nothing had been captured by known_at {work.run.known_at.isoformat()}"
    elif listing and listing.passed_over:
        why = f"no object has a name that is read; passed over: {describe_passed_over(listing.passed_over)}"
    else:
        why = "the folder is empty, or holds no Parquet, CSV or JSON file"
    return SourceMissing(
        f"the feed {contract.name} has no object",
        where=work.store.url(_folder(work.run, contract)),
        why=why,
        next_step="check the delivery, CRMBET_LAKE_BUCKET and CRMBET_RAW_PREFIX, then clear the task",
    )


def _capture_all(
    work: Work,
    contract: SourceContract,
    ledger: Ledger,
    objects: Mapping[Identity, StoredObject],
    bounds: _Bounds | None = None,
) -> tuple[list[Capture], list[Unreadable]]:
    """Capture objects. Returns the captures, and the objects that cannot be read.

    Each capture gets its done-file as soon as it is uploaded. An object for which memory did not suffice is tried again
    alone, after the others. Any other failure stops the run once the objects under way have finished.
    """
    import duckdb

    made: list[Capture] = []
    unreadable: list[Unreadable] = []
    progress = Progress(log, f"captured {contract.name}", unit="objects", total=len(objects))
    with (
        scratch_folder(work.run.settings) as folder,
        threads(OBJECTS_UNDER_WAY) as pool,
    ):
        bounds = bounds or _Bounds(work.run.settings.engine.threads)
        capturing = _Capturing(work, contract, ledger, folder, bounds)
        for lot in lots(objects):
            made += capture_lot(work, contract, ledger, lot, folder, turn=bounds.turn)
        gathered = {capture.digest for capture in made}
        tasks = {
            pool.submit(capturing.capture, identity, entry): identity
            for identity, entry in objects.items()
            if identity.digest not in gathered
        }
        large: list[Identity] = []
        progress.advance(len(made), sum(capture.extracted for capture in made))

        def settle(entry: StoredObject, result: Callable[[], Capture]) -> None:
            try:
                capture = result()
            except UnreadableObject as error:
                unreadable.append(Unreadable(chunk=entry.key, why=str(error)))
                log.warning("%s cannot be read and is set aside: %s", work.store.url(entry.key), error)
                progress.advance(1, 0)
            else:
                made.append(capture)
                progress.advance(1, capture.extracted)

        for task in as_completed(tasks):
            try:
                settle(objects[tasks[task]], task.result)
            except duckdb.OutOfMemoryException:
                large.append(tasks[task])
        for identity in large:
            settle(objects[identity], partial(capturing.capture_alone, identity, objects[identity]))
    progress.finish()
    return made, unreadable


class _Bounds:
    """How much is under way at once, of all feeds that are captured side by side."""

    def __init__(self, threads: int) -> None:
        self.places = threading.Semaphore(OBJECTS_UNDER_WAY)
        """For objects on the local disk."""
        self._threads = threads
        self._turns = threading.Semaphore(threads)
        self._one_takes_all = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn to read objects. That needs processor and memory; fetching and uploading wait."""
        with self._turns:
            yield

    @contextmanager
    def all_turns(self) -> Iterator[None]:
        """All turns, so that nothing else is read meanwhile."""
        with self._one_takes_all:
            for _ in range(self._threads):
                self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release(self._threads)


@dataclass
class _Capturing:
    """The capturing of one feed's objects, from several threads."""

    work: Work
    contract: SourceContract
    ledger: Ledger
    folder: Path
    bounds: _Bounds

    def capture(self, identity: Identity, entry: StoredObject, *, alone: bool = False) -> Capture:
        """Capture one object and write its done-file. Raises `UnreadableObject`."""
        turn = self.bounds.all_turns if alone else self.bounds.turn
        attempt = attempt_name()
        with (
            self.bounds.places,
            lack_of_room_explained(self.folder),
            tempfile.TemporaryDirectory(dir=self.folder) as name,
        ):
            local = Path(name) / "object"
            self.work.store.download(entry, local)
            with turn(), self.work.connection.cursor() as cursor:
                written, reading, counts = self._convert(cursor, local, entry)
                incomplete = incomplete_columns(cursor, written, reading)
            files = []
            if counts.rows:
                folder = self.work.run.layout.capture(self.contract.name, identity.digest)
                files = [f"{folder.prefix}{attempt}.parquet"]
                if not self.work.run.params.dry_run:
                    files = [keep_file(self.work.store, written, files[0])]
        capture = Capture(
            source=self.contract.name,
            chunk=entry.key,
            digest=identity.digest,
            files=files,
            types=dict(reading.types),
            columns_read=columns_read(
                reading, self.contract, entry.key, content=identity.content, incomplete=incomplete
            ),
            extracted=counts.rows,
            size=reading.size,
            set_aside=reading.set_aside,
            days=counts.days,
            exact_ids=True,
            latest_known_time=counts.latest_known_time,
            source_modified_at=entry.last_modified,
            captured_at=self.work.run.known_at,
            made_at=self.work.run.known_at,
        )
        (known,) = self.ledger.record([capture])
        return known

    def capture_alone(self, identity: Identity, entry: StoredObject) -> Capture:
        """Capture one object on one thread, while no other is read. Raises `UnreadableObject` if memory is too small.

        The engine's error passes if its memory does not suffice for anything: then the object is not to blame.
        """
        import duckdb

        connection = self.work.connection
        (threads,) = connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
        connection.execute("SET GLOBAL threads = 1")
        try:
            return self.capture(identity, entry, alone=True)
        except duckdb.OutOfMemoryException:
            little = self.folder / "little.parquet"
            connection.execute(render("extract/write_little", url=literal(str(little))))
            raise UnreadableObject(
                f"it needs more memory than CRMBET_MEMORY_LIMIT ({self.work.run.settings.engine.memory_limit}), "
                "even if it is read alone: deliver it in smaller files or row groups, or raise the limit"
            ) from None
        finally:
            connection.execute(f"SET GLOBAL threads = {int(threads)}")

    def _convert(
        self, connection: duckdb.DuckDBPyConnection, local: Path, entry: StoredObject
    ) -> tuple[Path, Reading, DayCounts]:
        """Rewrite an object as Parquet with the first reading that accounts for every record, and count it.

        Returns the file, the reading that made it, and the counts.
        """
        # A record's number is its place in the file, so reading must keep the order. This is set for the cursor of this
        # object only: the engine's other work needs no order.
        connection.execute("SET SESSION preserve_insertion_order = true")
        written = local.with_name("written.parquet")
        why = ""
        for reading in self._readings(connection, local, entry):
            query = place_rows(reading, entry.key, self.contract, self.work.run)
            why = write_capture(connection, reading, query, written)
            if not why:
                break
        if why:
            raise UnreadableObject(why)
        if reading.unknown_columns:
            names = ", ".join(reading.unknown_columns)[:300]
            log.warning("%s has columns that no contract names: %s", self.work.store.url(entry.key), names)
        for loss in reading.losses[:NAMED_LOSSES]:
            log.warning("%s: %s; these rows go to quarantine", self.work.store.url(entry.key), loss)
        counts = count_days(connection, written, self.contract, reading.types)
        if not counts.rows:
            log.warning("%s holds no record", self.work.store.url(entry.key))
        if len(counts.days) > MANY_DAYS:
            written = sort_by_day(connection, written)
        if reading.set_aside:
            log.warning(
                "%s: %d of %d bytes are no records and are set aside",
                self.work.store.url(entry.key),
                reading.set_aside,
                reading.size,
            )
        return written, reading, counts

    def _readings(
        self, connection: duckdb.DuckDBPyConnection, local: Path, entry: StoredObject
    ) -> Iterator[Reading]:
        import duckdb

        try:
            limits = UnpackLimits.of(self.work.run.settings.engine)
            yield from readings(connection, local, entry.key, self.contract, limits)
        except duckdb.Error as error:
            if is_lack_of_resources(error):
                raise
            raise UnreadableObject(describe_file_error(error, local.parent)) from None
