"""The stream: batch after batch from Kafka into the captures and the live rows, until it is told to stop.

A batch is claimed in PostgreSQL, captured on S3, added to the held rows, and committed together with the next offsets.
Whatever dies in between, the next run finds the claim and reads the same messages as the same batch. So a chunk is
captured with one content, and a message is in the live rows once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.source import SourceContract
from crmbet.databases.scratch import lack_of_room_explained, scratch_folder
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.extract.ledger import Ledger
from crmbet.extract.records import Capture
from crmbet.extract.streams import drop_joined, join_chunks, stream_name
from crmbet.failures import CrmbetError, LostConnection
from crmbet.features.variables import bind_variables
from crmbet.run.run import Run
from crmbet.run.window import Window, midnight
from crmbet.stream.capturing import keep_messages, write_messages
from crmbet.stream.consumer import StreamConsumer
from crmbet.stream.figures import StreamFigures, Told
from crmbet.stream.held import LIVE, HeldRows, Poison, captures_of, held_days, live_days
from crmbet.stream.live import Markers, read_markers, write_live
from crmbet.stream.parts import Parts
from crmbet.stream.records import Batch, Chunk, Partition, Position, of_topic
from crmbet.stream.target import StreamTables

log = logging.getLogger(__name__)

RESTORED_ROWS = 1_000_000
"""Rows that a run reads in one go when it fills the held rows from captures."""
SMALL_FILES_KEPT = timedelta(hours=6)
LOG_SECONDS = 30
TELL_SECONDS = 5
"""So often people who watch are told how the stream does."""


@dataclass(kw_only=True)
class Stream:
    """One run of the stream. It reads `topics` (source to topic); the clock is an argument."""

    work: Work
    tables: StreamTables
    consumer: StreamConsumer
    topics: Mapping[str, str]
    sources: Mapping[str, SourceContract]
    """The contracts of all sources."""
    clock: Callable[[], datetime]
    erased: ErasedPlayers = NOBODY
    figures: StreamFigures = field(init=False)
    _parts: Parts = field(init=False)
    _positions: dict[Partition, Position] = field(init=False, default_factory=dict)
    _today: date = field(init=False)
    _markers: Markers = field(init=False)
    _logged_at: datetime = field(init=False)
    _told_at: datetime = field(init=False)
    _newest_ms: int | None = field(init=False, default=None)
    """When the newest message of the last batch was written, in milliseconds since 1970."""

    def __post_init__(self) -> None:
        self._today = self._day_of(self.clock())
        self._logged_at = self._told_at = self.clock()
        self.figures = StreamFigures(max_age_seconds=self.work.run.settings.stream.max_stream_age_seconds)
        contracts = {name: self.sources[name] for name in self.topics if name in LIVE}
        held = HeldRows(work=self.work, contracts=contracts, days=held_days(self._today), erased=self.erased)
        self._parts = Parts(rows=held, sources=self.sources)

    def run(self, stop: Callable[[], bool]) -> StreamFigures:
        """Read until `stop()`. Raises what the consumer, the store and PostgreSQL raise."""
        bind_variables(self.work.connection, self.work.run)
        with self._parts.opened():
            if not self._begin(stop) or not self._finish_claimed(stop):
                return self.figures
            settings = self.work.run.settings.stream
            self.consumer.assign({each: position.next_offset for each, position in self._positions.items()})
            while not stop():
                with self.figures.stage("consume"):
                    batch = self.consumer.gather(
                        most=settings.stream_batch_messages,
                        seconds=settings.stream_batch_seconds,
                        clock=self.clock,
                        stop=stop,
                    )
                self._turn_the_day()
                if batch:
                    self._process(batch)
                self._look_around()
        self._tell()
        # What was held has gone: joining needs its room.
        with self.figures.stage("join"):
            self._join()
        return self.figures

    def _begin(self, stop: Callable[[], bool]) -> bool:
        """Find out how far the stream has come, and hold the rows of the last days again. False if `stop()`."""
        self.tables.create(self.work.run.settings.operator_timezone)
        known = self._read_positions()
        found = self._partitions(stop, is_patient=bool(known))
        if found is None:
            return False
        self.tables.begin({each: self.consumer.oldest_offset(each) for each in found if each not in known})
        self._positions = self._read_positions()
        self._markers = read_markers(self.work.store, self.work.run, live_days(self._today))
        with self.figures.stage("fill"):
            fill(self._parts, committed_captures(self.work, self.topics, self.tables.positions()))
        self._parts.rows.forget_touched()
        if not self.tables.has_day(self._today):
            # Nobody read while the day began. Events of a clock that is fast may have come before.
            self._begin_day()
        return True

    def _read_positions(self) -> dict[Partition, Position]:
        """The positions of the topics that are read now."""
        topics = {*self.topics.values()}
        return {each: position for each, position in self.tables.positions().items() if each.topic in topics}

    def _partitions(self, stop: Callable[[], bool], *, is_patient: bool) -> list[Partition] | None:
        """All partitions. A broker that is away is waited for, if it was ever read; None if `stop()`."""
        while True:
            try:
                return self.consumer.partitions([*self.topics.values()])
            except LostConnection as failure:
                if not is_patient:
                    raise
                log.warning("%s", failure)
                self._notice_absence(is_new=False)
                if stop():
                    return None

    def _notice_absence(self, *, is_new: bool) -> None:
        away = self.consumer.away_seconds(next(iter(self.topics.values())))
        self.figures.add_absence(away, is_new=is_new)

    def _finish_claimed(self, stop: Callable[[], bool]) -> bool:
        """Do the batch that an earlier run had begun. False if there was no time for it."""
        claimed = {
            partition: position
            for partition, position in self._positions.items()
            if position.claimed_offset > position.next_offset
        }
        if not claimed:
            return True
        log.info("an earlier run has begun a batch: it is read again, %d partitions", len(claimed))
        self.consumer.assign({each: position.next_offset for each, position in claimed.items()})
        batch = self.consumer.read_again(
            {each: position.claimed_offset for each, position in claimed.items()}, stop=stop
        )
        if batch is None:
            return False
        self._process(batch, claimed)
        return True

    def _process(self, batch: Batch, claimed: Mapping[Partition, Position] | None = None) -> None:
        """Claim, capture, add and commit a batch."""
        if claimed is None:
            chunks = batch.chunks(self._positions)
        else:
            chunks = [
                Chunk(partition=each, first=position.next_offset, until=position.claimed_offset)
                for each, position in sorted(claimed.items())
            ]
        stage = self.figures.stage
        with stage("claim"):
            self.tables.claim(chunks)
        poison: list[Poison] = []
        work = self._work_now()
        with scratch_folder(self.work.run.settings) as folder, lack_of_room_explained(folder):
            for source, topic in self.topics.items():
                messages, of_source = batch.by_topic.get(topic), of_topic(chunks, topic)
                if not messages:
                    continue
                contract = self.sources[source]
                with stage("capture"):
                    path = write_messages(work, contract, messages, of_source, folder)
                with stage("upload"):
                    captured = keep_messages(work, contract, of_source, path)
                if source in LIVE:
                    with stage("type"):
                        applied = self._parts.rows.apply(source, captured.captures, captured)
                    poison += applied.poison
                    self.figures.add_late(applied.late)
            with stage("sum"):
                self._parts.add()
            self._commit(chunks, folder / "live.csv", poison)
        for chunk in chunks:
            self._positions[chunk.partition] = Position(next_offset=chunk.until, claimed_offset=chunk.until)
        self._count(batch, poison)

    def _commit(self, chunks: Sequence[Chunk], path: Path, poison: Sequence[Poison]) -> None:
        with self.figures.stage("live rows"):
            change = write_live(self._parts, self._markers, path)
        self.figures.rows += change.rows
        with self.figures.stage("commit"):
            self.tables.commit(chunks, path, change.gone, poison)
        self._parts.rows.forget_touched()

    def _join(self) -> None:
        """Join the chunks of this run, so that the next one has few files to read. It is no loss if that fails.

        Small files go once they have been joined for some hours: some reader may have found them before.
        """
        work = self._work_now()
        for source in self.topics:
            try:
                join_chunks(work, source)
                drop_joined(work, self.sources[source], work.run.known_at - SMALL_FILES_KEPT)
            except CrmbetError as failure:
                log.warning("the chunks of %s stay where they are: %s", source, failure)

    def _turn_the_day(self) -> None:
        """After midnight: other days have live rows, and those of the day before yesterday go."""
        today = self._day_of(self.clock())
        if today == self._today:
            return
        log.info("the day turns: %s", today)
        self._today = today
        self._markers = read_markers(self.work.store, self._work_now().run, live_days(today))
        self._parts.move_to(held_days(today))
        # Events of a clock that is fast were held until their day came.
        self._begin_day()
        swept = self.tables.sweep(live_days(today)[0], self.work.run.settings.operator_timezone)
        log.info("%d live rows of earlier days are swept", swept)
        self.tables.sweep_minutes(self.clock())

    def _begin_day(self) -> None:
        """Write the live rows that today has already."""
        self._parts.touch(self._today)
        with scratch_folder(self.work.run.settings) as folder:
            self._commit([], folder / "live.csv", [])

    def _count(self, batch: Batch, poison: Sequence[Poison]) -> None:
        figures = self.figures
        age = max(0.0, self.clock().timestamp() - batch.oldest_ms / 1000)
        figures.add_batch(messages=len(batch), poison=len(poison), age=age)
        self._newest_ms = batch.newest_ms
        offsets = self._measure_lag()
        self.consumer.show_offsets(offsets)
        if poison:
            first = poison[0]
            log.warning(
                "%d messages break their contract and are in quarantine; the first is %s/%d at offset %d: %s",
                len(poison),
                first.topic,
                first.partition,
                first.offset,
                first.reason,
            )

    def _look_around(self) -> None:
        """Now and then: whether Kafka answers, what people who watch see, and a line in the log."""
        now = self.clock()
        if now - self._told_at >= timedelta(seconds=TELL_SECONDS):
            self._told_at = now
            self._tell()
        if now - self._logged_at < timedelta(seconds=LOG_SECONDS):
            return
        self._logged_at = now
        self._notice_absence(is_new=True)
        figures = self.figures
        recent = figures.ages[-1] if figures.ages else None
        log.info(
            "%d messages in %d batches so far; lag %d messages; age of the last batch at its commit: %s",
            figures.messages,
            figures.batches,
            figures.lag,
            "none yet" if recent is None else f"{recent:.1f} s",
        )

    def _measure_lag(self) -> dict[Partition, int]:
        """Measure what the broker has beyond the live rows. Returns the next offsets."""
        offsets = {each: position.next_offset for each, position in self._positions.items()}
        figures = self.figures
        figures.lag = self.consumer.lag(offsets)
        figures.lag_seconds = 0.0
        if figures.lag and self._newest_ms is not None:
            figures.lag_seconds = max(0.0, self.clock().timestamp() - self._newest_ms / 1000)
        return offsets

    def _tell(self) -> None:
        self._measure_lag()
        self.tables.tell(self.figures, self.clock(), self.consumer.silent_seconds)
        self.figures.untold = Told()

    def _work_now(self) -> Work:
        """The work with a run that knows its facts since now: what is captured has that instant."""
        return replace(self.work, run=run_at(self.work.run, self.clock()))

    def _day_of(self, instant: datetime) -> date:
        return instant.astimezone(self.work.run.settings.zone).date()


def run_at(run: Run, now: datetime) -> Run:
    """A run about the midnight before an instant, with facts known at it."""
    today = now.astimezone(run.settings.zone).date()
    window = Window(as_of_date=today, as_of=midnight(today, run.settings.zone))
    return replace(run, window=window, known_at=now.astimezone(UTC))


def committed_captures(
    work: Work, sources: Iterable[str], positions: Mapping[Partition, Position]
) -> dict[str, list[Capture]]:
    """The captures of each source whose messages are in the live rows."""
    found = {}
    for source in (each for each in sources if each in LIVE):
        ledger = Ledger.read(work.store, work.run, stream_name(source))
        found[source] = [
            capture
            for capture in sorted(ledger.by_digest.values(), key=lambda capture: capture.chunk)
            if _is_committed(Chunk.of_name(capture.chunk), positions)
        ]
    return found


def fill(parts: Parts, captures: Mapping[str, Sequence[Capture]]) -> None:
    """Hold the rows of captures, as far as they are of the held days, and make their parts."""
    rows = parts.rows
    for source, of_source in captures.items():
        for portion in _portions(captures_of(of_source, rows.days)):
            with local_copies(rows.work) as copies:
                rows.apply(source, portion, copies)
            parts.add()


def _is_committed(chunk: Chunk, positions: Mapping[Partition, Position]) -> bool:
    position = positions.get(chunk.partition)
    return position is not None and chunk.until <= position.next_offset


def _portions(captures: Sequence[Capture]) -> Iterator[list[Capture]]:
    portion: list[Capture] = []
    rows = 0
    for capture in captures:
        if portion and rows + capture.extracted > RESTORED_ROWS:
            yield portion
            portion, rows = [], 0
        portion.append(capture)
        rows += capture.extracted
    if portion:
        yield portion
