"""The cores of the tasks up to the feature table, each with an engine of its own, as the operators call them.

`python -m bench.pipeline <run as JSON> <task> ...` runs some of them in a separate process. Tasks hand each other
manifests on S3, so a task can run once the earlier ones have ended.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bench.apart import Apart, Steps, Stopwatch, report, run_apart
from bench.workbench import PipelineRun
from crmbet.clean.clean import clean_shard_of_source, clean_source
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.duckdb import attach_postgres
from crmbet.extract.lake import capture_feeds
from crmbet.extract.postgres import SOURCE, capture_relation
from crmbet.extract.records import ExtractManifest
from crmbet.features.engineer import engineer_features, engineer_shard, open_player_parts
from crmbet.features.knowledge import Knowledge
from crmbet.features.player_parts import PlayerParts
from crmbet.features.records import FeatureManifest
from crmbet.run.progress import timed
from crmbet.run.records import read_manifest, write_manifest
from crmbet.run.shards import Shard

log = logging.getLogger("crmbet.bench")


def extract_s3(pipeline_run: PipelineRun) -> int:
    """Capture the lake. Returns how many chunks were new."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    with pipeline_run.work() as work:
        lake = [contract for contract in load_source_contracts().values() if contract.kind == "lake"]
        captured = capture_feeds(work, lake)
    present = {name: captures for name, captures in captured.items() if captures is not None}
    write_manifest(store, run.prefix, "extract_s3", ExtractManifest(sources=present))
    return sum(captures.new for captures in present.values())


def extract_pg(pipeline_run: PipelineRun) -> int:
    """Capture the transactions. Returns how many chunks were new."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    contract = load_source_contracts()["transactions"]
    with pipeline_run.work() as work:
        attach_postgres(work.connection, pipeline_run.operator.source_url, SOURCE, read_only=True)
        captures = capture_relation(work, contract)
    write_manifest(store, run.prefix, "extract_pg", ExtractManifest(sources={contract.name: captures}))
    return captures.new


def clean(pipeline_run: PipelineRun) -> int:
    """Clean what was captured. Returns how many rows were accepted."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    contracts = load_source_contracts()
    captured = {
        name: captures
        for task in EXTRACTS
        for name, captures in read_manifest(store, run.prefix, task, ExtractManifest).sources.items()
    }
    cleaned = {}
    with pipeline_run.work() as work:
        for name, captures in captured.items():
            with timed(log, f"clean {name}"):
                cleaned[name] = clean_source(work, contracts[name], captures)
    write_manifest(store, run.prefix, "clean", CleanManifest(sources=cleaned))
    return sum(source.accepted for source in cleaned.values())


def engineer(pipeline_run: PipelineRun) -> int:
    """Make the feature table. Returns how many days of state were missing."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    cleaned = read_manifest(store, run.prefix, "clean", CleanManifest)
    with pipeline_run.work() as work:
        made = engineer_features(
            work,
            load_source_contracts(),
            load_table_contract(),
            cleaned,
        )
    write_manifest(store, run.prefix, "engineer_features", made)
    return made.days_built


def clean_part(pipeline_run: PipelineRun, shard: Shard) -> int:
    """Clean a part of the days. Returns how many were missing."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    contracts = load_source_contracts()
    made = 0
    with pipeline_run.work() as work:
        for task in EXTRACTS:
            for name, captures in read_manifest(store, run.prefix, task, ExtractManifest).sources.items():
                made += len(clean_shard_of_source(work, contracts[name], captures, shard))
    return made


def engineer_days(pipeline_run: PipelineRun, shard: Shard) -> int:
    """Make a part of the days of state and sessions. Returns how many were missing."""
    cleaned = read_manifest(pipeline_run.operator.store, pipeline_run.run.prefix, "clean", CleanManifest)
    with pipeline_run.work() as work:
        return sum(map(len, engineer_shard(work, load_source_contracts(), cleaned, shard)))


def engineer_players(pipeline_run: PipelineRun, shard: Shard) -> int:
    """Compute the themes of a part of the players. Returns how many they are."""
    with _player_parts(pipeline_run) as parts:
        return parts.ensure_own_themes(shard).users


def engineer_fits(pipeline_run: PipelineRun, _shard: Shard) -> int:
    """Learn from all players. Returns how many tables of it there are."""
    with _player_parts(pipeline_run) as parts:
        return len(parts.ensure_learned().tables)


def engineer_scores(pipeline_run: PipelineRun, shard: Shard) -> int:
    """Make the rows of a part of the players. Returns how many they are."""
    with _player_parts(pipeline_run) as parts:
        return parts.ensure_scored(shard).users


@contextmanager
def _player_parts(pipeline_run: PipelineRun) -> Iterator[PlayerParts]:
    cleaned = read_manifest(pipeline_run.operator.store, pipeline_run.run.prefix, "clean", CleanManifest)
    knowledge = Knowledge(known_at=pipeline_run.run.known_at)
    with (
        pipeline_run.work() as work,
        open_player_parts(
            work, load_source_contracts(), load_table_contract(), cleaned, lambda: knowledge
        ) as parts,
    ):
        if parts is None:
            raise RuntimeError("there is a table of the same inputs, so no part of it is made")
        yield parts


EXTRACTS = ("extract_s3", "extract_pg")
COMPUTING = ("clean", "engineer_features")

TASKS: Mapping[str, Callable[[PipelineRun], int]] = {
    "extract_s3": extract_s3,
    "extract_pg": extract_pg,
    "clean": clean,
    "engineer_features": engineer,
}
PARTS: Mapping[str, Callable[[PipelineRun, Shard], int]] = {
    "clean_parts": clean_part,
    "engineer_days": engineer_days,
    "engineer_players": engineer_players,
    "engineer_fits": engineer_fits,
    "engineer_scores": engineer_scores,
}
"""Parts of tasks, named as `clean_parts:2 of 4`."""


def run_tasks(pipeline_run: PipelineRun, *tasks: str) -> Apart:
    """Run tasks in a separate process. `counts` of the result holds what each returned."""
    return run_apart("bench.pipeline", pipeline_run.to_json(), *tasks)


def features_of(pipeline_run: PipelineRun) -> list[str]:
    """Addresses of the feature table's files, once the run has made it."""
    store = pipeline_run.operator.store
    made = read_manifest(store, pipeline_run.run.prefix, "engineer_features", FeatureManifest)
    return [store.url(key) for key in made.files]


def main() -> None:
    """Run the tasks that the command line names."""
    steps = Steps()
    core = logging.getLogger("crmbet")
    core.setLevel(logging.DEBUG)
    core.addHandler(steps)
    text, *tasks = sys.argv[1:]
    pipeline_run = PipelineRun.from_json(text)
    stopwatch, counts = Stopwatch(), {}
    # Airflow makes the client of S3 for a task, so it is not timed.
    _ = pipeline_run.operator.store
    for task in tasks:
        with stopwatch.step(task):
            name, _, shard = task.partition(":")
            counts[task] = (
                PARTS[name](pipeline_run, Shard.parse(shard)) if shard else TASKS[name](pipeline_run)
            )
    report(stopwatch, steps.seconds, **counts)


if __name__ == "__main__":
    main()
