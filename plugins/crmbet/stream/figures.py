"""What a run of the stream has done, in figures, and the manifest that it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from crmbet.run.records import Record


class StageTime(Record):
    """Seconds of one stage of all batches."""

    seconds: float
    cpu_seconds: float
    """Of all threads. What the client reads ahead in the meantime counts, too."""


class StreamManifest(Record):
    """`stream.json`."""

    messages: int
    batches: int
    rows: int
    """Live rows computed; one that says the same as before is not written."""
    quarantined: int
    """Messages that break their contract."""
    late: int
    """Rows of days that have no live rows any more. The daily run counts them."""
    lag: int
    """Messages that the broker had and the live rows had not, when the last batch was committed."""
    lag_seconds: float
    """How long ago the newest message in the live rows was written, if the broker had more; else 0."""
    age_p50: float | None
    """Seconds from the oldest message of a batch at the broker to its commit: the median of all batches."""
    age_p95: float | None
    age_max: float | None
    away_seconds: float
    """The longest time for which Kafka did not answer."""
    max_age_seconds: float
    """The setting CRMBET_MAX_STREAM_AGE_SECONDS, as it was."""
    stages: dict[str, StageTime]
    """Where the time of the run went."""

    @property
    def counts(self) -> dict[str, int | float | None]:
        """For the log, XCom and the run's row."""
        return self.model_dump(exclude={"max_age_seconds", "stages"})

    @property
    def was_old(self) -> bool:
        """Whether rows were committed later than the setting allows."""
        return max(self.age_max or 0.0, self.away_seconds) > self.max_age_seconds


@dataclass(kw_only=True)
class Told:
    """What was done since it was told last, for `stream_minutes`."""

    messages: int = 0
    batches: int = 0
    quarantined: int = 0
    late: int = 0
    age_max: float | None = None


@dataclass(kw_only=True)
class StreamFigures:
    """The figures of a run that is under way."""

    max_age_seconds: float
    batches: int = 0
    messages: int = 0
    rows: int = 0
    poison: int = 0
    late: int = 0
    lag: int = 0
    lag_seconds: float = 0.0
    away_seconds: float = 0.0
    stages: dict[str, StageTime] = field(default_factory=dict)
    untold: Told = field(default_factory=Told)
    ages: list[float] = field(default_factory=list)
    has_become_old: bool = False
    """Whether rows are older than allowed now, after they were younger in this run. It ends then, so that its warning
    is sent, and the next run goes on. One that begins behind does not end before its time."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the `with` block as a stage's."""
        began, cpu_began = time.perf_counter(), time.process_time()
        yield
        before = self.stages.get(name, StageTime(seconds=0.0, cpu_seconds=0.0))
        self.stages[name] = StageTime(
            seconds=before.seconds + time.perf_counter() - began,
            cpu_seconds=before.cpu_seconds + time.process_time() - cpu_began,
        )

    def add_batch(self, *, messages: int, poison: int, age: float) -> None:
        """Add a batch that is committed. `age` is the seconds from its oldest message at the broker to its commit."""
        self.batches += 1
        self.messages += messages
        self.poison += poison
        self.untold.batches += 1
        self.untold.messages += messages
        self.untold.quarantined += poison
        self.untold.age_max = max(age, self.untold.age_max or 0.0)
        self._add_age(age)

    def add_late(self, rows: int) -> None:
        """Add rows of days that have no live rows."""
        self.late += rows
        self.untold.late += rows

    def _add_age(self, seconds: float) -> None:
        if seconds > self.max_age_seconds and self.ages and self.ages[-1] <= self.max_age_seconds:
            self.has_become_old = True
        self.ages.append(seconds)

    def add_absence(self, seconds: float, *, is_new: bool) -> None:
        """Kafka has not answered for so long now. It is new if it has answered in this run."""
        if is_new and seconds > self.max_age_seconds:
            self.has_become_old = True
        self.away_seconds = max(seconds, self.away_seconds)

    def manifest(self) -> StreamManifest:
        """The figures as they are now."""
        ages = sorted(self.ages)

        def quantile(share: float) -> float | None:
            return round(ages[min(len(ages) - 1, int(share * len(ages)))], 3) if ages else None

        return StreamManifest(
            messages=self.messages,
            batches=self.batches,
            rows=self.rows,
            quarantined=self.poison,
            late=self.late,
            lag=self.lag,
            lag_seconds=round(self.lag_seconds, 3),
            age_p50=quantile(0.5),
            age_p95=quantile(0.95),
            age_max=quantile(1),
            away_seconds=round(self.away_seconds, 3),
            max_age_seconds=self.max_age_seconds,
            stages={
                name: StageTime(seconds=round(spent.seconds, 3), cpu_seconds=round(spent.cpu_seconds, 3))
                for name, spent in self.stages.items()
            },
        )
