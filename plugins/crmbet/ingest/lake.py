"""Capturing the lake: every object of a feed, each once per content.

A chunk is one object (key, ETag, size). Its capture is Parquet under a digest of the source, that fingerprint and the
contract's column names; it exists once its marker does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.contracts import SourceContract
from crmbet.engine_failures import explain, first_line
from crmbet.failures import RowsUnaccounted, SourceMissing
from crmbet.ingest.census import Census, count_files, merge_days
from crmbet.ingest.formats import Reading, format_of, read_object, require_whole_gzip, unreadable
from crmbet.ingest.ledger import Ledger, chunk_digest, finish_captures
from crmbet.manifest import Capture, SourceCaptures
from crmbet.object_store import ObjectStore, StoredObject
from crmbet.partitions import attempt_name, write_file
from crmbet.run import Run
from crmbet.statements import Fragment, identifier, literal, render

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Written:
    """An object whose records have been written, but not yet counted."""

    entry: StoredObject
    digest: str
    records: int
    """Counted independently of the parser that wrote them."""
    files: list[str]


def capture_feed(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, contract: SourceContract
) -> SourceCaptures | None:
    """Capture what is new in a feed; returns all captures that the run uses, None if an optional feed is absent.

    Raises `SourceMissing` if a required feed has no object.
    """
    ledger = Ledger.read(store, run.layout, contract.name)
    if run.rereads_the_past:
        known = SourceCaptures(captures=ledger.known_at(run.known_at))
        return _unless_absent(known, store, run, contract)

    objects = _objects(store, run, contract)
    if not objects and run.params.source_deletions == "remove" and contract.required:
        # Before anything is written: the run could not go on without it, and the next could not keep it.
        raise _absence(store, run, contract)
    wanted = {_digest(run, contract, entry): entry for entry in objects}
    missing = {
        digest: entry
        for digest, entry in wanted.items()
        if run.params.full_refresh or digest not in ledger.by_digest
    }
    made = _capture_all(connection, store, run, contract, missing)
    current = [made.get(digest) or ledger.by_digest[digest] for digest in wanted]
    used = finish_captures(store, run, ledger, current, made.values())
    return _unless_absent(SourceCaptures(captures=used, new=len(made)), store, run, contract)


def plan_feed(store: ObjectStore, run: Run, contract: SourceContract) -> list[StoredObject]:
    """The objects that `capture_feed` would capture."""
    ledger = Ledger.read(store, run.layout, contract.name)
    return [
        entry
        for entry in _objects(store, run, contract)
        if run.params.full_refresh or _digest(run, contract, entry) not in ledger.by_digest
    ]


def _folder(run: Run, contract: SourceContract) -> str:
    return f"{run.settings.raw_prefix}{contract.relation}/"


def _objects(store: ObjectStore, run: Run, contract: SourceContract) -> list[StoredObject]:
    return [entry for entry in store.list(_folder(run, contract)) if entry.size > 0 and format_of(entry.key)]


def _unless_absent(
    captures: SourceCaptures, store: ObjectStore, run: Run, contract: SourceContract
) -> SourceCaptures | None:
    if captures.captures:
        return captures
    if not contract.required:
        return None
    raise _absence(store, run, contract)


def _absence(store: ObjectStore, run: Run, contract: SourceContract) -> SourceMissing:
    return SourceMissing(
        f"the feed {contract.name} has no object",
        where=store.url(_folder(run, contract)),
        why=f"nothing had been captured by known_at {run.known_at.isoformat()}"
        if run.rereads_the_past
        else "the folder is empty, or holds no Parquet, CSV or JSON file",
        next_step="check the delivery, CRMBET_LAKE_BUCKET and CRMBET_RAW_PREFIX, then clear the task",
    )


def _capture_all(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contract: SourceContract,
    objects: Mapping[str, StoredObject],
) -> dict[str, Capture]:
    """Capture objects (by digest) side by side. One that fails stops the run, after those under way have finished."""
    # A record's number is its place in the file, so reading must not shuffle.
    connection.execute("SET GLOBAL preserve_insertion_order = true")

    def write(item: tuple[str, StoredObject]) -> _Written:
        with connection.cursor() as cursor:
            return _write_object(cursor, store, run, contract, *item)

    with ThreadPoolExecutor(run.settings.threads) as pool:
        written = list(pool.map(write, objects.items()))
    # Counted together: reading a small file back costs a request, whatever is in it.
    censuses = count_files(connection, store, contract, [key for each in written for key in each.files])
    made = {
        each.digest: _capture(run, contract, store, each, [censuses[key] for key in each.files])
        for each in written
    }
    if made:
        records = sum(capture.extracted for capture in made.values())
        log.info("captured %d objects of %s with %d records", len(made), contract.name, records)
    return made


def _write_object(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contract: SourceContract,
    digest: str,
    entry: StoredObject,
) -> _Written:
    import duckdb

    url = store.url(entry.key)
    attempt = attempt_name()
    if entry.key.lower().endswith(".gz"):
        with store.open(entry.key) as content:
            require_whole_gzip(content, url)
    reading = read_object(connection, url, contract, attempt)
    if reading.unknown_columns:
        log.warning(
            "%s has columns that no contract names: %s", url, ", ".join(reading.unknown_columns)[:300]
        )
    files: list[str] = []
    try:
        for number, query in enumerate(_queries(connection, reading)):
            key = f"{run.layout.capture(contract.name, digest).prefix}{attempt}_{number}.parquet"
            if write_file(connection, store, key, _place(query, entry.key, contract, run)):
                files.append(key)
    except duckdb.Error as error:
        raise explain(error, url) or unreadable(url, first_line(error)) from None
    return _Written(entry, digest, reading.records, files)


def _queries(connection: duckdb.DuckDBPyConnection, reading: Reading) -> Iterator[str]:
    """What to write: the records, then those that the parser has set aside while it read them, if any."""
    yield reading.query
    if reading.rejects and connection.execute(
        render("store/count_rows", rows=Fragment(reading.rejects))
    ).fetchone() != (0,):
        yield reading.rejects


def _place(query: str, key: str, contract: SourceContract, run: Run) -> str:
    instant = Fragment(
        f"parse_timestamp({identifier(contract.event_time)})" if contract.event_time else "NULL"
    )
    return render(
        "ingest/place_rows",
        rows=Fragment(query),
        source_key=literal(key),
        event_time=instant,
        zone=literal(run.settings.operator_timezone),
        earliest=Fragment(f"DATE {literal(contract.earliest.isoformat())}"),
    )


def _capture(
    run: Run, contract: SourceContract, store: ObjectStore, written: _Written, censuses: Sequence[Census]
) -> Capture:
    """The capture of an object. Raises `RowsUnaccounted` if the parser dropped records in silence."""
    days = merge_days(censuses)
    extracted = sum(day.rows for day in days.values())
    if extracted != written.records:
        raise RowsUnaccounted(
            f"the file holds {written.records} records, its parser gave {extracted}",
            where=store.url(written.entry.key),
            why="a quote that is never closed, or a file that ends in the middle, hides records from the parser",
            next_step="deliver the object again, or move it out of the feed's folder, and clear the task",
        )
    return Capture(
        source=contract.name,
        chunk=written.entry.key,
        digest=written.digest,
        files=written.files,
        extracted=extracted,
        days=days,
        latest_known_time=max(filter(None, (census.latest_known_time for census in censuses)), default=None),
        source_modified_at=written.entry.last_modified,
        captured_at=run.known_at,
    )


def _digest(run: Run, contract: SourceContract, entry: StoredObject) -> str:
    return chunk_digest(
        contract.name,
        entry.key,
        entry.etag,
        str(entry.size),
        contract.column_digest,
        run.settings.operator_timezone,
    )
