"""The cores of the tasks up to the feature table, each with an engine of its own, as the operators call them.

`python -m bench.pipeline <run as JSON> <task> ...` runs some of them in a process apart. Tasks hand each other
manifests on S3, so each can run where the others have ended.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping

from bench.apart import Apart, Stopwatch, report, run_apart
from bench.workbench import PipelineRun
from crmbet.clean.clean import clean_source
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.duckdb import attach_postgres
from crmbet.extract.lake import capture_feed
from crmbet.extract.postgres import SOURCE, capture_relation
from crmbet.extract.records import ExtractManifest
from crmbet.features.engineer import engineer_features
from crmbet.features.records import FeatureManifest
from crmbet.run.progress import timed
from crmbet.run.records import read_manifest, write_manifest

log = logging.getLogger("crmbet.bench")


def extract_s3(at: PipelineRun) -> int:
    """Capture the lake; returns the chunks that were new."""
    run, store = at.run, at.operator.store
    with at.work() as work:
        found = {
            name: capture_feed(work, contract)
            for name, contract in load_source_contracts().items()
            if contract.kind == "lake"
        }
    present = {name: captures for name, captures in found.items() if captures is not None}
    write_manifest(store, run.prefix, "extract_s3", ExtractManifest(sources=present))
    return sum(captures.new for captures in present.values())


def extract_pg(at: PipelineRun) -> int:
    """Capture the transactions; returns the chunks that were new."""
    run, store = at.run, at.operator.store
    contract = load_source_contracts()["transactions"]
    with at.work() as work:
        attach_postgres(work.connection, at.operator.source_url, SOURCE, read_only=True)
        captures = capture_relation(work, contract)
    write_manifest(store, run.prefix, "extract_pg", ExtractManifest(sources={contract.name: captures}))
    return captures.new


def clean(at: PipelineRun) -> int:
    """Clean what was captured; returns the rows accepted."""
    run, store = at.run, at.operator.store
    contracts = load_source_contracts()
    captured = {
        name: captures
        for task in EXTRACTS
        for name, captures in read_manifest(store, run.prefix, task, ExtractManifest).sources.items()
    }
    cleaned = {}
    with at.work() as work:
        for name, captures in captured.items():
            with timed(log, f"clean {name}"):
                cleaned[name] = clean_source(work, contracts[name], captures)
    write_manifest(store, run.prefix, "clean", CleanManifest(sources=cleaned))
    return sum(source.accepted for source in cleaned.values())


def engineer(at: PipelineRun) -> int:
    """Make the feature table; returns the days of state that were missing."""
    run, store = at.run, at.operator.store
    cleaned = read_manifest(store, run.prefix, "clean", CleanManifest)
    with at.work() as work:
        made = engineer_features(
            work,
            load_source_contracts(),
            load_table_contract(),
            cleaned,
        )
    write_manifest(store, run.prefix, "engineer_features", made)
    return made.days_built


EXTRACTS = ("extract_s3", "extract_pg")
COMPUTING = ("clean", "engineer_features")

TASKS: Mapping[str, Callable[[PipelineRun], int]] = {
    "extract_s3": extract_s3,
    "extract_pg": extract_pg,
    "clean": clean,
    "engineer_features": engineer,
}


def run_tasks(at: PipelineRun, *tasks: str) -> Apart:
    """Run tasks in a process apart; `counts` holds what each returned."""
    return run_apart("bench.pipeline", at.to_json(), *tasks)


def features_of(at: PipelineRun) -> list[str]:
    """Addresses of the feature table's files, once the run has made it."""
    store = at.operator.store
    made = read_manifest(store, at.run.prefix, "engineer_features", FeatureManifest)
    return [store.url(key) for key in made.files]


class Steps(logging.Handler):
    """Seconds by step, as the core logs them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record that says how long a step took."""
        if "step" in record.__dict__:
            step = record.__dict__["step"]
            self.seconds[step] = self.seconds.get(step, 0.0) + record.__dict__["seconds"]


def main() -> None:
    """Run the tasks that the command line names."""
    steps = Steps()
    core = logging.getLogger("crmbet")
    core.setLevel(logging.DEBUG)
    core.addHandler(steps)
    text, *tasks = sys.argv[1:]
    at = PipelineRun.from_json(text)
    stopwatch, counts = Stopwatch(), {}
    # The client of S3 is Airflow's part of a task.
    _ = at.operator.store
    for task in tasks:
        with stopwatch.step(task):
            counts[task] = TASKS[task](at)
    report(stopwatch, steps.seconds, **counts)


if __name__ == "__main__":
    main()
