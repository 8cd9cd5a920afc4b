"""The chunks of a stream as captures: a source of the daily run if its contract is of kind `stream`.

The stream captures them (crmbet.stream). They lie beside the captures of other sources, under a name of their own:
a source of another kind may be streamed too. Its live rows come from the topic then, and its days from the lake.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime

from crmbet.contracts.source import SourceContract
from crmbet.databases.work import Work
from crmbet.datasets.segments import FEW_FILES
from crmbet.extract.joining import join_captures
from crmbet.extract.ledger import Ledger
from crmbet.extract.records import Capture, SourceCaptures
from crmbet.failures import SourceMissing
from crmbet.storage.layout import attempt_name

log = logging.getLogger(__name__)

SUFFIX = ".stream"
"""No source has a name that ends so."""


def stream_name(source: str) -> str:
    """The name of a source's chunks of the stream among captures."""
    return source + SUFFIX


def source_name(name: str) -> str:
    """The source that captures of this name belong to."""
    return name.removesuffix(SUFFIX)


def streamed_captures(work: Work, contract: SourceContract) -> SourceCaptures | None:
    """The chunks of a source that were captured by known_at; None if an optional one has none.

    Raises `SourceMissing` if a required one has none, and `DataLost` if one of them is gone: nobody can read it again.
    """
    found = Ledger.read(work.store, work.run, stream_name(contract.name)).known_at(work.run.known_at)
    if found.captures:
        return found
    if not contract.required:
        return None
    raise SourceMissing(
        f"the stream has captured nothing of {contract.name} by {work.run.known_at.isoformat()}",
        where=work.store.url(work.run.layout.captures(stream_name(contract.name))),
        next_step="run user_features_stream with a topic for it in CRMBET_STREAM_TOPICS, then clear the task",
    )


JOINED_ROWS = 150_000
"""Rows of a joined file, unless one chunk has more. They are sorted in memory, beside what else the stream holds."""


def join_chunks(work: Work, source: str) -> int:
    """Join the chunks of a source that lie in files of their own into few files. Returns how many were joined.

    The stream leaves a file and a done-file for each batch, which are tens of thousands a day. Chunks that were joined
    before stay where they are.
    """
    ledger = Ledger.read(work.store, work.run, stream_name(source))
    apart = [
        capture
        for capture in ledger.by_digest.values()
        if capture.joined_at is None and not ledger.is_lost(capture)
    ]
    if len({key for capture in apart for key in capture.files}) < FEW_FILES:
        return 0
    log.info("%s: %d chunks are joined", source, len(apart))
    for portion in _portions(sorted(apart, key=lambda capture: capture.chunk)):
        ledger.move(join_captures(work, portion))
    ledger.done_files.write_index(attempt_name())
    return len(apart)


def _portions(chunks: Sequence[Capture]) -> Iterator[list[Capture]]:
    portion: list[Capture] = []
    rows = 0
    for chunk in chunks:
        if portion and rows + chunk.extracted > JOINED_ROWS:
            yield portion
            portion, rows = [], 0
        portion.append(chunk)
        rows += chunk.extracted
    if portion:
        yield portion


def drop_joined(work: Work, contract: SourceContract, joined_before: datetime) -> int:
    """Remove the small files of chunks that lie in a larger one since before an instant. Returns how many.

    Nobody but the stream reads the chunks of a source that the daily run has from elsewhere. What the daily run reads
    stays until the sweep: its manifests name these files.
    """
    if contract.kind == "stream":
        return 0
    ledger = Ledger.read(work.store, work.run, stream_name(contract.name))

    def is_over(chunk: Capture) -> bool:
        now = ledger.by_digest[chunk.digest]
        joined_at = None if ledger.is_lost(now) else now.joined_at
        return chunk.joined_at is None and joined_at is not None and joined_at < joined_before

    over = {
        key: segment.captures
        for key, segment in ledger.done_files.records.items()
        if all(is_over(chunk) for chunk in segment.captures)
    }
    files = {file for chunks in over.values() for chunk in chunks for file in chunk.files}
    # A done-file whose file is gone would be told as damage.
    work.store.delete_all(sorted(over))
    work.store.delete_all(sorted(files))
    return len(files)
