"""Captures a batch: its messages become a file for each source, one chunk for each partition, in the store.

It is a capture like any other, as text, with a done-file. Its chunks were claimed before, so no two of them overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.databases.work import Work
from crmbet.extract.day_counts import count_streamed
from crmbet.extract.formats import Reading, read_records
from crmbet.extract.ledger import chunk_digest
from crmbet.extract.records import Capture, CaptureSegment
from crmbet.extract.streams import stream_name
from crmbet.extract.writing import place_rows, write_capture
from crmbet.failures import RowsUnaccounted
from crmbet.storage.layout import attempt_name
from crmbet.storage.verified import keep_file, write_record
from crmbet.stream.records import Chunk, Messages

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_VALUE = "no value"
NO_TEXT = "malformed record: bytes that are no text"
LINE_BYTES = 100_000
"""Room in a line of the file of messages, besides the message: the engine's buffer is of a certain size at least."""


@dataclass(frozen=True, kw_only=True)
class CapturedBatch:
    """What was captured of one source, and the local copy of its file."""

    captures: list[Capture]
    paths: Mapping[str, Path]

    def urls(self, keys: Iterable[str]) -> Sequence[str]:
        """The paths of the local copies."""
        return [str(self.paths[key]) for key in keys]


def write_messages(
    work: Work, contract: SourceContract, messages: Messages, chunks: Sequence[Chunk], folder: Path
) -> Path:
    """Write the messages of one source as a file of captured rows. `chunks` are those of its topic.

    `folder` is a local one for the file. Raises `RowsUnaccounted` if a message has become no row.
    """
    path = folder / f"{contract.name}.parquet"
    with _as_table(work, messages, path.with_suffix(".messages")) as table:
        reading = Reading(_placed(contract, chunks, table), len(messages))
        connection = work.connection
        why = write_capture(connection, reading, place_rows(reading, None, contract, work.run), path)
    if why:
        raise RowsUnaccounted(
            f"messages of {contract.name} went in and did not come out: {why}",
            where=", ".join(chunk.name for chunk in chunks),
            next_step="the task retries by itself with the same messages; if it happens again, report it as a defect",
        )
    return path


def keep_messages(work: Work, contract: SourceContract, chunks: Sequence[Chunk], path: Path) -> CapturedBatch:
    """Keep the file of a source's messages in the store, with the done-file that makes it a capture."""
    counts = count_streamed(work.connection, path, contract)
    source, run = stream_name(contract.name), work.run
    digests = {chunk: _digest(work, contract, chunk) for chunk in chunks}
    folder_of_captures = run.layout.capture(source, digests[chunks[0]])
    attempt = attempt_name()
    key = keep_file(work.store, path, f"{folder_of_captures.prefix}{attempt}.parquet")
    captures = [
        Capture(
            source=source,
            chunk=chunk.name,
            digest=digests[chunk],
            files=[key],
            chunks_in_files=len(chunks),
            streamed=True,
            extracted=counts[chunk.name].rows,
            days=counts[chunk.name].days,
            exact_ids=True,
            latest_known_time=counts[chunk.name].latest_known_time,
            captured_at=run.known_at,
            made_at=run.known_at,
        )
        for chunk in chunks
    ]
    write_record(work.store, folder_of_captures.done_file(attempt), CaptureSegment(captures=captures))
    return CapturedBatch(captures=captures, paths={key: path})


@contextmanager
def _as_table(work: Work, messages: Messages, path: Path) -> Iterator[Fragment]:
    """The messages as a table of the engine, numbered from 1. `path` is a local file for them.

    It is a file since the engine would import two large libraries for a table in memory.
    """
    longest = 0
    with path.open("wb") as file:
        rows = zip(messages.partitions, messages.offsets, messages.written_ms, messages.values, strict=True)
        for number, (partition, offset, written_ms, value) in enumerate(rows, 1):
            text, fault = _text_of(value)
            longest = max(longest, len(text))
            file.write(
                b"%d\2%d\2%d\2%d\2%b\2\1%b\1\n"
                % (number, partition, offset, written_ms, fault.encode(), text.replace(b"\1", b"\1\1"))
            )
    create = render(
        "stream/create_messages", url=literal(str(path)), longest=Fragment(str(2 * longest + LINE_BYTES))
    )
    work.connection.execute(create)
    path.unlink()
    try:
        yield identifier("messages")
    finally:
        work.connection.execute("DROP TABLE messages")


def _text_of(value: bytes | None) -> tuple[bytes, str]:
    """A message, and what is wrong with it: nothing if it is a text, which may be empty."""
    if value is None:
        return b"", NO_VALUE
    try:
        value.decode()
    except UnicodeDecodeError:
        return b"", f"{NO_TEXT} ({len(value)} bytes)"
    return (b"", NO_TEXT) if b"\0" in value else (value, "")


def _placed(contract: SourceContract, chunks: Sequence[Chunk], table: Fragment) -> str:
    rows = read_records(render("stream/list_messages", messages=table), contract)
    known = ""
    if contract.known_time:
        name = identifier(contract.known_time)
        known = f", coalesce(rows.{name}, messages.written::VARCHAR) AS {name}"
    return render(
        "stream/place_messages",
        rows=Fragment(rows),
        messages=table,
        known=Fragment(known),
        topic=literal(chunks[0].partition.topic),
        chunks=joined([Fragment(f"({chunk.partition.number}, {literal(chunk.name)})") for chunk in chunks]),
    )


def _digest(work: Work, contract: SourceContract, chunk: Chunk) -> str:
    return chunk_digest(
        stream_name(contract.name),
        chunk.name,
        contract.column_digest,
        contract.placement_digest,
        work.run.settings.operator_timezone,
    )
