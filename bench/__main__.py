"""`python -m bench`: measures, prints two tables and writes JSON. The exit status says whether every limit was kept.

The first table has every figure, the second those that have a limit. Without `--only` the groups run that answer for
the store and the engine, at sizes that take 20 minutes on two quiet cores. Others take longer, or are about one part
alone: `--only` names them. Every size is an option.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bench import (
    clean,
    daily,
    erasure,
    extract_pg,
    extract_s3,
    features,
    growth,
    increment,
    load,
    markers,
    models,
    page,
    parsing,
    quality,
    shards,
    simulation,
    small_objects,
    steps,
    stream,
    unchanged,
    year,
)
from bench.events import Events
from bench.figures import Figure, print_limits, print_table, write_json
from bench.history import History, open_history
from bench.workbench import Workbench, open_workbench

RESULTS = Path(__file__).parent / "results" / "bench.json"


@dataclass
class Bench:
    """What the groups of figures share: sizes, a folder, and services that start when they are first used."""

    options: argparse.Namespace
    folder: Path
    stack: ExitStack

    @cached_property
    def workbench(self) -> Workbench:
        """The services."""
        return self.stack.enter_context(open_workbench(self.folder / "workbench"))

    @cached_property
    def history(self) -> History:
        """A long history, which two groups share. `increment` adds a day to it."""
        sizes = self.options
        events = Events(
            bets=sizes.history_bets,
            transactions=sizes.history_transactions,
            players=sizes.history_players,
            days=sizes.history_days,
        )
        return self.stack.enter_context(open_history(self.workbench, events))

    def parsing(self) -> list[Figure]:
        """Time to parse the DAG file."""
        return parsing.measure(self.folder, self.options.rounds)

    def simulation(self) -> list[Figure]:
        """Time and memory of the simulator."""
        return simulation.measure(self.folder, self.options.days)

    def extract_pg(self) -> list[Figure]:
        """Reading PostgreSQL, compared with psql."""
        return extract_pg.measure(
            self.workbench, self.folder, self.options.extract_pg_rows, self.options.rounds
        )

    def extract_s3(self) -> list[Figure]:
        """Capturing CSV files, compared with loading them."""
        return extract_s3.measure(
            self.workbench, self.options.extract_s3_rows, self.options.extract_s3_rounds
        )

    def small_objects(self) -> list[Figure]:
        """What a small object costs, with others and alone."""
        return small_objects.measure(self.workbench, self.options.small_objects)

    def clean(self) -> list[Figure]:
        """Cleaning text, compared with judging every row."""
        return clean.measure(self.workbench, self.options.clean_rows, self.options.clean_rounds)

    def features(self) -> list[Figure]:
        """Clean and engineer_features, compared with pandas."""
        sizes = self.options
        events = Events(
            bets=sizes.features_bets,
            transactions=sizes.features_transactions,
            players=sizes.features_players,
            days=sizes.features_days,
        )
        return self._features("features", events, LEAST_SPEEDUP, LEAST_MEMORY_RATIO)

    def features_small(self) -> list[Figure]:
        """The same for an operator of a few thousand players."""
        sizes = self.options
        events = Events(
            bets=sizes.features_small_rows,
            transactions=sizes.features_small_rows,
            players=sizes.features_small_players,
            days=sizes.features_days,
        )
        return self._features("features_small", events, LEAST_SMALL_SPEEDUP)

    def _features(
        self, name: str, events: Events, least_speedup: float, least_memory_ratio: float | None = None
    ) -> list[Figure]:
        sizes = self.options
        folder = self.folder / name
        folder.mkdir()
        return features.measure(
            self.workbench,
            folder,
            events,
            sizes.features_memory,
            rounds=sizes.features_rounds,
            pandas_keeps=sizes.features_pandas_keeps,
            least_speedup=least_speedup,
            least_memory_ratio=least_memory_ratio,
        )

    def shards(self) -> list[Figure]:
        """A table in parts, compared with one at once."""
        sizes = self.options
        events = Events(
            bets=sizes.shards_rows,
            transactions=sizes.shards_rows,
            players=sizes.features_players,
            days=sizes.features_days,
        )
        return shards.measure(self.workbench, events, sizes.shards_count)

    def steps(self) -> list[Figure]:
        """What each step costs by number of bets, for bench.cost."""
        return steps.measure(self.workbench, self.options.steps_bets, self.options.growth_days)

    def models(self) -> list[Figure]:
        """Fitting the models and scoring players."""
        return models.measure(self.options.models_players)

    def markers(self) -> list[Figure]:
        """Finding the planted loss chasers."""
        return markers.measure(self.options.markers_players)

    def unchanged(self) -> list[Figure]:
        """A run in which nothing changed."""
        return unchanged.measure(self.history)

    def increment(self) -> list[Figure]:
        """One more day, compared with all events in one go."""
        return increment.measure(self.history)

    def load(self) -> list[Figure]:
        """Staging and merge, compared with psql and a query."""
        sizes = self.options
        return load.measure(
            self.workbench, self.folder, sizes.load_rows, sizes.load_columns, sizes.load_rounds
        )

    def growth(self) -> list[Figure]:
        """Time and memory by number of bets, in 1 GB."""
        return growth.measure(self.workbench, self.options.growth_bets, self.options.growth_days)

    def page(self) -> list[Figure]:
        """The monitoring page in a browser."""
        return page.measure(self.workbench, self.options.rounds)

    def stream(self) -> list[Figure]:
        """Live rows from Kafka, compared with a loop that only consumes and writes."""
        sizes = self.options
        return stream.measure(
            self.workbench, sizes.stream_messages, sizes.stream_players, sizes.stream_seconds
        )

    def year(self) -> list[Figure]:
        """The objects that a year of daily runs leaves."""
        return year.measure(self.workbench, self.options.year_days, self.options.year_players)

    def daily(self) -> list[Figure]:
        """The daily DAG on the demo's data: objects, runs, a far S3."""
        sizes = self.options
        return daily.measure(self.workbench, sizes.daily_days, sizes.daily_players, sizes.daily_rounds)

    def erasure(self) -> list[Figure]:
        """Erasing players, compared with computing everything from the captures."""
        sizes = self.options
        events = Events(
            bets=sizes.erasure_bets,
            transactions=sizes.erasure_bets // 4,
            players=sizes.erasure_players,
            days=sizes.erasure_days,
        )
        return erasure.measure(self.workbench, events)

    def quality(self) -> list[Figure]:
        """The quality gates, compared with bare SQL and pandas."""
        sizes = self.options
        return quality.measure(
            self.folder, sizes.quality_raw_rows, sizes.quality_feature_rows, sizes.quality_pandas_rows
        )


# `unchanged` comes before `increment`, which changes the history.
GROUPS: Mapping[str, Callable[[Bench], list[Figure]]] = {
    "parsing": Bench.parsing,
    "simulation": Bench.simulation,
    "extract_pg": Bench.extract_pg,
    "extract_s3": Bench.extract_s3,
    "small_objects": Bench.small_objects,
    "clean": Bench.clean,
    "features": Bench.features,
    "features_small": Bench.features_small,
    "shards": Bench.shards,
    "steps": Bench.steps,
    "models": Bench.models,
    "markers": Bench.markers,
    "unchanged": Bench.unchanged,
    "increment": Bench.increment,
    "load": Bench.load,
    "growth": Bench.growth,
    "page": Bench.page,
    "quality": Bench.quality,
    "stream": Bench.stream,
    "daily": Bench.daily,
    "year": Bench.year,
    "erasure": Bench.erasure,
}

LONG = ("extract_pg", "markers", "load", "growth", "page", "quality", "shards", "steps", "stream", "year")
"""Groups that run only if they are named."""
LEAST_SPEEDUP = 1.0
LEAST_SMALL_SPEEDUP = 0.7
LEAST_MEMORY_RATIO = 2.0
"""Pandas over ours, at the sizes of `features` and of `features_small`. Of small tables Python itself is the memory."""


def main() -> int:
    """Run the chosen measurements."""
    options = _read_options()
    figures: list[Figure] = []
    try:
        with tempfile.TemporaryDirectory(prefix="crmbet-bench-") as name, ExitStack() as stack:
            bench = Bench(options, Path(name), stack)
            for group, measure in GROUPS.items():
                if group in options.only:
                    print(f"measuring {group}", file=sys.stderr, flush=True)
                    figures += [replace(figure, group=group) for figure in measure(bench)]
    finally:
        # If a group fails, the figures of earlier groups are still written.
        print_table(figures)
        print_limits(figures)
        write_json(figures, RESULTS)
        print(f"\n{RESULTS}")
    return 1 if any(figure.is_breach for figure in figures) else 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="\n".join(
            [
                "groups (* only if named):",
                *(
                    f"  {'*' if name in LONG else ' '} {name:<15}{measure.__doc__}"
                    for name, measure in GROUPS.items()
                ),
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=GROUPS,
        default=[name for name in GROUPS if name not in LONG],
        metavar="GROUP",
        help="groups of figures; those without a star below",
    )

    def add(option: str, default: str, what: str) -> None:
        parser.add_argument(
            option, type=_count, default=_count(default), metavar="N", help=f"{what}; {default}"
        )

    add("--rounds", "5", "parsing, extract_pg, page: repetitions")
    add("--days", "120", "simulation: days, about 8,500 events each")
    add("--extract-pg-rows", "5M", "extract_pg: transactions")
    add("--extract-s3-rows", "10M", "extract_s3: bets")
    add("--extract-s3-rounds", "1", "extract_s3: repetitions")
    add("--small-objects", "5k", "small_objects: objects")
    add("--clean-rows", "1M", "clean: bets")
    add("--clean-rounds", "3", "clean: repetitions")
    add("--features-bets", "10M", "features: bets")
    add("--features-transactions", "10M", "features: transactions")
    add("--features-players", "200k", "features: players")
    add("--features-small-rows", "400k", "features_small: bets, and as many transactions")
    add("--features-small-players", "8000", "features_small: players")
    add("--features-days", "180", "features, features_small: days")
    add("--features-rounds", "1", "features, features_small: repetitions")
    parser.add_argument(
        "--features-pandas-keeps",
        action="store_true",
        help="features, features_small: pandas writes the cleaned rows too, as the pipeline does",
    )
    parser.add_argument(
        "--features-memory",
        default="1GB",
        metavar="SIZE",
        help="features, features_small: memory_limit; %(default)s",
    )
    add("--shards-rows", "10M", "shards: bets, and as many transactions")
    add("--shards-count", "4", "shards: parts")
    add("--models-players", "1M", "models: players")
    add("--markers-players", "1500", "markers: players of each of four worlds")
    add("--history-bets", "8M", "unchanged, increment: bets")
    add("--history-transactions", "1M", "unchanged, increment: transactions")
    add("--history-players", "50k", "unchanged, increment: players")
    add("--history-days", "366", "unchanged, increment: days, including the added one")
    add("--load-rows", "1M", "load: players")
    add("--load-columns", "101", "load: columns; columns of reals are added to those of the contract")
    add("--load-rounds", "3", "load: repetitions")
    sizes = ["1M", "4M", "16M"]
    parser.add_argument(
        "--growth-bets",
        nargs="+",
        type=_count,
        default=[_count(size) for size in sizes],
        metavar="N",
        help=f"growth: numbers of bets; {' '.join(sizes)}",
    )
    parser.add_argument(
        "--steps-bets",
        nargs="+",
        type=_count,
        default=[2_000_000, 8_000_000],
        metavar="N",
        help="steps: numbers of bets; 2M 8M",
    )
    add("--quality-raw-rows", "10M", "quality: bets")
    add("--quality-feature-rows", "1M", "quality: players")
    add("--quality-pandas-rows", "1M", "quality: bets that pandas judges")
    add("--growth-days", "365", "growth, steps: days")
    add("--stream-messages", "1M", "stream: messages that are waiting")
    add("--stream-players", "50k", "stream: players")
    add("--stream-seconds", "30", "stream: for how long 2,000 messages a second come")
    add("--daily-days", "120", "daily: days of the first run")
    add("--daily-players", "2000", "daily: players")
    add("--daily-rounds", "2", "daily: near and far days, in turn")
    add("--year-days", "365", "year: days")
    add("--year-players", "200", "year: players; the models need a hundred")
    add("--erasure-bets", "600k", "erasure: bets, and a quarter as many transactions")
    add("--erasure-players", "8k", "erasure: players")
    add("--erasure-days", "90", "erasure: days")
    return parser.parse_args()


def _count(text: str) -> int:
    """A number such as 2000, 200k or 10M."""
    number = re.fullmatch(r"(\d+)([kM]?)", text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 2000, 200k or 10M")
    return int(number[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[number[2]]


if __name__ == "__main__":
    sys.exit(main())
