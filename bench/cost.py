"""What operators of other sizes would cost: `python -m bench.cost` computes it from parts that were measured.

Nothing is run. Every step is a line through two measured sizes. Prices, limits and workers are options.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.growth import BETS_A_PLAYER, BETS_A_TRANSACTION

MEASURED_BETS = (2e6, 8e6)
"""The sizes at which the lines below were measured: `make bench ARGS="--only steps"`."""
MEASURED_DAYS = 365


@dataclass(frozen=True)
class Line:
    """A figure at the two measured sizes."""

    small: float
    large: float

    @property
    def slope(self) -> float:
        """How much it grows with each bet of the history. What was smaller at the larger size does not grow."""
        return max(0.0, self.large - self.small) / (MEASURED_BETS[1] - MEASURED_BETS[0])

    @property
    def fixed(self) -> float:
        """What it is whatever the size."""
        return max(0.0, self.small - self.slope * MEASURED_BETS[0])

    def at(self, bets: float, times_fixed: int = 1) -> float:
        """The figure at another size, with what is fixed so many times."""
        return self.fixed * times_fixed + self.slope * bets


@dataclass(frozen=True)
class Step:
    """A step of the run: processor seconds, and requests to S3 by what they are charged as."""

    cpu: Line
    writes: Line
    reads: Line


FIRST_RUN: Mapping[str, Step] = {
    "extract_s3": Step(cpu=Line(6.673, 18.25), writes=Line(27, 63), reads=Line(366, 366)),
    "extract_pg": Step(cpu=Line(1.464, 1.818), writes=Line(10, 10), reads=Line(0, 0)),
    "clean": Step(cpu=Line(8.098, 22.53), writes=Line(42, 94), reads=Line(10, 16)),
    "engineer_features": Step(cpu=Line(9.761, 23.28), writes=Line(24, 36), reads=Line(17, 29)),
}
ONE_DAY: Mapping[str, Step] = {
    "extract_s3": Step(cpu=Line(1.018, 1.162), writes=Line(13, 13), reads=Line(5, 11)),
    "extract_pg": Step(cpu=Line(0.974, 1.009), writes=Line(4, 4), reads=Line(4, 4)),
    "clean": Step(cpu=Line(0.9284, 1.02), writes=Line(11, 12), reads=Line(14, 19)),
    "engineer_features": Step(cpu=Line(5.754, 8.873), writes=Line(18, 18), reads=Line(19, 31)),
}
RAW_BYTES = Line(6.925e7, 2.751e8)
STORE_BYTES = Line(1.393e8, 5.491e8)

TIMES_IN_PARTS = 1.16
"""Processor time of four parts over that of one machine: `make bench ARGS="--only shards --shards-rows 20M"`. It is
more with fewer rows: what every part does again depends little on size."""
ALONE_A_PLAYER = 17.5 / 200_000
"""Processor seconds of what one task does for all players, for each of them: the same command. A part of it does not
grow with the players, so for millions of them this is more than it takes."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Euros."""

    core_hour: float
    thousand_writes: float
    thousand_reads: float
    gigabyte_month: float


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What workers are like."""

    threads: int
    """Of each worker, which does one part at a time."""
    busy: float
    """Share of the time of its threads that a worker computes. It waits for S3 in the rest."""
    task_seconds: float
    """Until a task has begun, and a run has as many of these as it has tasks one after the other."""


TASKS_IN_SEQUENCE = 14
"""Tasks of the daily DAG that wait for each other, with parts."""
CORE_HOUR = 0.0504
"""Half of an m7i.large, which has two threads: 0.1008 dollars an hour on demand in us-east-1, says
doit.com/blog/aws-ec2-pricing (read in November 2026)."""
THOUSAND_WRITES, THOUSAND_READS, GIGABYTE_MONTH = 0.005, 0.0004, 0.023
"""S3 Standard in us-east-1, in dollars: devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-
examples (read in November 2026). A listing costs as much as a write."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run costs on so many workers."""

    workers: int
    hours: float
    cpu_hours: Mapping[str, float]
    """By step, in parts if there are several workers."""
    writes: float
    reads: float
    euros: float


def workers_for(steps: Mapping[str, Step], bets: float, hours: float, fleet: Fleet) -> int | None:
    """The fewest workers that make a run in so many hours, or None if the last step alone takes longer."""
    if _hours(steps, bets, 1, fleet) <= hours:
        return 1
    spare = hours * 3600 - _sequential_seconds(steps, bets, fleet)
    if spare <= 0:
        return None
    return max(2, math.ceil(_shared(steps, bets) / (spare * fleet.threads * fleet.busy)))


def most_bets_of_one_worker(steps: Mapping[str, Step], hours: float, fleet: Fleet) -> float:
    """The largest number of bets that one worker runs over in so many hours, without parts; 0 if there is none."""
    seconds = (hours * 3600 - TASKS_IN_SEQUENCE * fleet.task_seconds) * fleet.threads * fleet.busy
    fixed = sum(step.cpu.fixed for step in steps.values())
    return max(0.0, seconds - fixed) / sum(step.cpu.slope for step in steps.values())


def estimate(steps: Mapping[str, Step], bets: float, workers: int, fleet: Fleet, prices: Prices) -> Estimate:
    """What a run over so many bets costs. Every part lists and looks for what is there like its step."""
    times = 1 if workers == 1 else workers + 1
    factor = 1.0 if workers == 1 else TIMES_IN_PARTS
    hours = _hours(steps, bets, workers, fleet)
    writes = sum(step.writes.at(bets, times) for step in steps.values())
    reads = sum(step.reads.at(bets, times) for step in steps.values())
    return Estimate(
        workers=workers,
        hours=hours,
        cpu_hours={name: step.cpu.at(bets) * factor / 3600 for name, step in steps.items()},
        writes=writes,
        reads=reads,
        euros=hours * workers * fleet.threads * prices.core_hour
        + writes / 1000 * prices.thousand_writes
        + reads / 1000 * prices.thousand_reads,
    )


def _in_parts(steps: Mapping[str, Step], bets: float) -> float:
    return TIMES_IN_PARTS * sum(step.cpu.at(bets) for step in steps.values())


def _alone(steps: Mapping[str, Step], bets: float) -> float:
    """Processor seconds of what needs all players. It is never more than there is."""
    return min(ALONE_A_PLAYER * bets / BETS_A_PLAYER, _in_parts(steps, bets))


def _shared(steps: Mapping[str, Step], bets: float) -> float:
    return _in_parts(steps, bets) - _alone(steps, bets)


def _sequential_seconds(steps: Mapping[str, Step], bets: float, fleet: Fleet) -> float:
    """Seconds of what one worker does alone, once there are several."""
    return _alone(steps, bets) / (fleet.threads * fleet.busy) + TASKS_IN_SEQUENCE * fleet.task_seconds


def _hours(steps: Mapping[str, Step], bets: float, workers: int, fleet: Fleet) -> float:
    cores = fleet.threads * fleet.busy
    if workers == 1:
        seconds = sum(step.cpu.at(bets) for step in steps.values())
        return (seconds / cores + TASKS_IN_SEQUENCE * fleet.task_seconds) / 3600
    return (_shared(steps, bets) / (cores * workers) + _sequential_seconds(steps, bets, fleet)) / 3600


def main() -> None:
    """Print estimates for the sizes that the command line names."""
    options = _read_options()
    fleet = Fleet(threads=options.threads, busy=options.busy, task_seconds=options.task_seconds)
    prices = Prices(
        core_hour=options.core_hour,
        thousand_writes=options.thousand_writes,
        thousand_reads=options.thousand_reads,
        gigabyte_month=options.gigabyte_month,
    )
    limits = (
        ("first run", FIRST_RUN, options.first_hours),
        ("daily run", ONE_DAY, options.daily_minutes / 60),
    )
    print(_assumptions(fleet, prices))
    print()
    for name, steps, hours in limits:
        bets = most_bets_of_one_worker(steps, hours, fleet)
        print(
            f"One worker makes a {name} in {hours * 60:,.0f} minutes over up to {bets / 1e6:,.0f} million bets."
        )
    for millions in options.millions:
        bets = millions * 1e6
        print(f"\n{bets:,.0f} bets of {MEASURED_DAYS} days")
        for name, steps, hours in limits:
            workers = workers_for(steps, bets, hours, fleet)
            if workers is None:
                alone = _sequential_seconds(steps, bets, fleet) / 60
                print(f"  {name:<12}no number of workers: what one does alone takes {alone:,.0f} minutes")
                continue
            _print_run(name, estimate(steps, bets, workers, fleet, prices))
        stored = STORE_BYTES.at(bets) / 1e9
        print(
            f"  {'kept on S3':<12}{stored:,.0f} GB beside {RAW_BYTES.at(bets) / 1e9:,.0f} GB of bets in Parquet: "
            f"{stored * prices.gigabyte_month:,.2f} euros a month"
        )


def _assumptions(fleet: Fleet, prices: Prices) -> str:
    small, large = MEASURED_BETS
    return f"""Computed from parts that were measured at {small:,.0f} and {large:,.0f} bets. It is assumed that
- each step grows as the line through these sizes;
- there is a transaction for {BETS_A_TRANSACTION} bets, and a player for {BETS_A_PLAYER};
- in parts, the steps take {TIMES_IN_PARTS:.2f} times the processor time;
- one worker does alone what takes {ALONE_A_PLAYER * 1e6:.0f} s of it for a million players;
- every part sends the requests that its step sends whatever the size;
- a worker computes in {fleet.busy:.0%} of the time of its {fleet.threads} threads, and is paid for while the run lasts;
- a task has begun after {fleet.task_seconds} seconds, {TASKS_IN_SEQUENCE} times in a run;
- an hour of a thread costs {prices.core_hour} euros: by default half of an m7i.large on demand in us-east-1, as
  doit.com/blog/aws-ec2-pricing had it in November 2026;
- a thousand requests to S3 that write or list cost {prices.thousand_writes} euros, a thousand others
  {prices.thousand_reads}, and a gigabyte {prices.gigabyte_month} a month: by default S3 Standard in us-east-1, as
  devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples had it in November 2026;
- a dollar is a euro. It is not, and your region has other prices: each price is an option.
Not in it: the gates (--only quality), backup and load (--only load), PostgreSQL, Airflow's own services, logs."""


def _print_run(name: str, run: Estimate) -> None:
    steps = ", ".join(f"{step} {hours:,.2f}" for step, hours in run.cpu_hours.items())
    print(
        f"  {name:<12}{run.workers:,} {'worker' if run.workers == 1 else 'workers'}, {run.hours * 60:,.0f} minutes, "
        f"{run.writes:,.0f} writes and {run.reads:,.0f} reads of S3, {run.euros:,.2f} euros\n"
        f"  {'':<12}{sum(run.cpu_hours.values()):,.2f} hours of processor time: {steps}"
    )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument(
        "--millions", nargs="+", type=float, default=[100, 1_000, 10_000], help="of bets; %(default)s"
    )
    for option, default, what in (
        ("--first-hours", 8, "hours that a first run may take"),
        ("--daily-minutes", 30, "minutes that a daily run may take"),
        ("--threads", 2, "threads of a worker"),
        ("--busy", 0.7, "share of their time that these compute"),
        ("--task-seconds", 10, "seconds until a task has begun"),
        ("--core-hour", CORE_HOUR, "euros for an hour of a thread"),
        ("--thousand-writes", THOUSAND_WRITES, "euros for a thousand requests that write or list"),
        ("--thousand-reads", THOUSAND_READS, "euros for a thousand that read"),
        ("--gigabyte-month", GIGABYTE_MONTH, "euros for a gigabyte and month"),
    ):
        parser.add_argument(option, type=type(default), default=default, help=f"{what}; %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    main()
