"""The daily DAG in a real Airflow, on the demo's data: a first run, one that finds nothing new, and one more day.

A day is run over an S3 that is near, and over one that holds back each request. The objects of the store are counted.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from bench.far_store import FarStore, Request, open_far_store
from bench.figures import Figure
from bench.workbench import Operator, Workbench
from crmbet.run.tasks import EXTRACTS, TASKS
from crmbet.storage.layout import Layout
from local import ui
from local.api import Api, Task
from local.env import database_variables, lake_variables
from local.postgres import EmbeddedPostgres
from local.services import up
from local.simulator import Batch, DirtLedger, DirtRates, World, simulate
from local.simulator.lake import LakeWriter, lake_files
from local.simulator.wallet import WalletWriter, transaction_rows
from local.workspace import PROJECT

DAG = "user_features_daily"
TARGET = "daily_target"
SEED = 7
OF_A_RUN = ("runs", "reports", "models")
"""Folders with what a run leaves of its own. It goes when the run goes."""
HELD_BACK_MS = 30
"""The distance to a store in another region, or to a busy one in the same."""
REQUESTS = PROJECT / "bench" / "results" / "daily-requests.txt"
MANIFEST = re.compile(r"/runs/run_id=[^/]+/(\w+)\.json")

LIMIT_OBJECTS = 250
LIMIT_OBJECTS_OF_A_RUN = 25
LIMIT_FIRST_OVER_AGAIN = 2.0
LIMIT_AGAIN_SECONDS = 18.0
LIMIT_FAR_OVER_NEAR = 1.3


@dataclass(frozen=True, kw_only=True)
class DayRun:
    """One run of the DAG."""

    tasks: Mapping[str, Task]
    requests: Mapping[str, Sequence[Request]]
    """Of each task. The extracts run side by side, so theirs are together."""

    @property
    def seconds(self) -> float:
        """Of all tasks together."""
        return sum(task.seconds for task in self.tasks.values())


@dataclass(frozen=True, kw_only=True)
class Daily:
    """An operator, and an Airflow that runs its days."""

    operator: Operator
    store: FarStore
    api: Api
    world: World

    def deliver(self, batch: Batch) -> str:
        """Deliver a day. Returns the as_of that looks at it, an ISO date."""
        with LakeWriter(self.operator.bucket) as lake, WalletWriter(self.operator.source_url) as wallet:
            for file in lake_files(self.world, batch, DirtRates()):
                lake.write(file)
            wallet.write(*transaction_rows(self.world, batch, DirtRates(), DirtLedger()))
        return (batch.day.day + timedelta(days=1)).isoformat()

    def warm_up(self) -> None:
        """Run the DAG for a day that it refuses, so that no other waits until Airflow has imported what tasks need."""
        refused = self.api.trigger(DAG, {"as_of": "2999-01-01"})
        for _ in self.api.follow(DAG, refused):
            pass

    def run(self, as_of: str, held_back_ms: int = 0) -> DayRun:
        """Run the DAG while each request is held back. Raises `RuntimeError` if the run fails."""
        self.store.hold_back(held_back_ms)
        seen = len(self.store.requests())
        run_id = self.api.trigger(DAG, {"as_of": as_of})
        tasks = {task.name: task for task in self.api.follow(DAG, run_id)}
        self.store.hold_back(0)
        if failed := [task.name for task in tasks.values() if task.state != "success"]:
            raise RuntimeError(f"the run of {as_of} failed: {', '.join(failed)}")
        return DayRun(tasks=tasks, requests=_by_task(self.store.requests()[seen:]))

    def objects(self) -> Counter[str]:
        """Objects of the store by the folder of our prefix that they lie in."""
        root = Layout(brand="default").root
        entries = self.operator.store.list(root)
        return Counter(entry.key.removeprefix(root).partition("/")[0] for entry in entries)


def measure(workbench: Workbench, days: int, players: int, rounds: int) -> list[Figure]:
    """Deliver a history and run it, run it again, then run day by day in turn over a near and a far store."""
    # Today's midnight in the operator's zone may still be to come.
    last = datetime.now(UTC).date() - timedelta(days=1)
    world = World(
        seed=SEED, players=players, start_day=last - timedelta(days=days + 2 * rounds), end_day=last
    )
    batches = simulate(world)
    with workbench.operator("daily") as operator, _opened(operator, world) as daily:
        for _ in range(days):
            as_of = daily.deliver(next(batches))
        daily.warm_up()
        first = daily.run(as_of)
        objects = daily.objects()
        again = daily.run(as_of)
        near, far = [], []
        for _ in range(rounds):
            near.append(daily.run(daily.deliver(next(batches))))
            far.append(daily.run(daily.deliver(next(batches)), HELD_BACK_MS))
    write_requests(far[-1], REQUESTS)
    note = f"{players:,} players, {days} days"
    return [
        *_object_figures(objects, note),
        Figure(name="the first run, all tasks", value=first.seconds, unit="s", note=_seconds_by_task(first)),
        Figure(
            name="the run that finds nothing new",
            value=again.seconds,
            unit="s",
            limit=LIMIT_AGAIN_SECONDS,
            note=_seconds_by_task(again),
        ),
        Figure(
            name="the first run over one that finds nothing new",
            value=first.seconds / again.seconds,
            unit="x",
            limit=LIMIT_FIRST_OVER_AGAIN,
        ),
        *_distance_figures(near, far, f"{note} before, median of {rounds}"),
    ]


@contextmanager
def _opened(operator: Operator, world: World) -> Iterator[Daily]:
    workspace = operator.workspace
    up(workspace)
    postgres = EmbeddedPostgres(workspace)
    postgres.create_database(TARGET)
    variables = lake_variables(workspace, operator.bucket)
    os.environ.update(variables)
    with open_far_store(operator.lake.endpoint_url or "", workspace.state) as store:
        connection = json.loads(variables["AIRFLOW_CONN_CRMBET_LAKE"])
        connection["extra"]["endpoint_url"] = store.endpoint
        variables["AIRFLOW_CONN_CRMBET_LAKE"] = json.dumps(connection)
        variables |= database_variables(postgres, source=operator.name, target=TARGET)
        with ui.lent(workspace, variables) as login, Api(login).unpaused(DAG) as api:
            yield Daily(operator=operator, store=store, api=api, world=world)


def _by_task(requests: Sequence[Request]) -> dict[str, list[Request]]:
    """Requests of each task. Tasks run in turn, the extracts side by side, and each writes its manifest last."""
    by_task: dict[str, list[Request]] = {}
    since: list[Request] = []
    for request in requests:
        since.append(request)
        ended = MANIFEST.search(request.path)
        if request.method == "PUT" and ended and ended[1] in TASKS:
            by_task.setdefault("extract" if ended[1] in EXTRACTS else ended[1], []).extend(since)
            since = []
    return by_task | {"record_run": since}


def in_sequence(requests: Sequence[Request], held_back_ms: int) -> float:
    """How many requests a task has waited for, one after the other: those at the same time count as one."""
    seconds = held_back_ms / 1000
    waited, until = 0.0, float("-inf")
    for came in sorted(request.came for request in requests):
        waited += max(0.0, came + seconds - max(until, came))
        until = came + seconds
    return waited / seconds


def write_requests(run: DayRun, path: Path) -> None:
    """Write each request of a run, by task and in order: when it came, in milliseconds of the task, and what it asked.

    Requests with one number were under way together; the next number waited for them.
    """
    lines = []
    for task, requests in run.requests.items():
        lines.append(
            f"{task}: {len(requests)} requests, {in_sequence(requests, HELD_BACK_MS):.0f} in sequence"
        )
        number, until = 0, float("-inf")
        for request in requests:
            number += request.came >= until
            until = max(until, request.came + HELD_BACK_MS / 1000)
            since = (request.came - requests[0].came) * 1000
            lines.append(f"{since:9.0f} {number:3} {request.method:<6} {request.path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _object_figures(objects: Mapping[str, int], note: str) -> list[Figure]:
    of_a_run = sum(objects[folder] for folder in OF_A_RUN)
    shown = ", ".join(f"{folder} {count}" for folder, count in Counter(objects).most_common())
    return [
        Figure(
            name="objects in the store after the first run, without the run's own",
            value=sum(objects.values()) - of_a_run,
            unit="objects",
            limit=LIMIT_OBJECTS,
            note=f"{note}: {shown}",
        ),
        Figure(
            name="objects that a run leaves of its own",
            value=of_a_run,
            unit="objects",
            limit=LIMIT_OBJECTS_OF_A_RUN,
            note="manifests, feature table, matrix, reports, Data Docs, parameters of models",
        ),
    ]


def _distance_figures(near: Sequence[DayRun], far: Sequence[DayRun], note: str) -> list[Figure]:
    seconds = [median(run.seconds for run in runs) for runs in (near, far)]
    waits = {
        task: median(in_sequence(run.requests.get(task, ()), HELD_BACK_MS) for run in far)
        for task in far[0].requests
    }
    floor = 1 + sum(waits.values()) * HELD_BACK_MS / 1000 / seconds[0]
    return [
        Figure(name="one more day, all tasks", value=seconds[0], unit="s", note=note),
        Figure(
            name=f"... over an S3 that holds back each request by {HELD_BACK_MS} ms",
            value=seconds[1],
            unit="s",
            note=_seconds_by_task(far[0]),
        ),
        Figure(
            name="one more day, held back over near",
            value=seconds[1] / seconds[0],
            unit="x",
            limit=LIMIT_FAR_OVER_NEAR,
            floor=floor,
            note="floor: the requests in sequence, and nothing else",
        ),
        *(
            Figure(
                name=f"  requests in sequence, {task}",
                value=wait,
                unit="requests",
                note=f"{median(len(run.requests.get(task, ())) for run in far):.0f} requests",
            )
            for task, wait in waits.items()
        ),
    ]


def _seconds_by_task(run: DayRun) -> str:
    return ", ".join(f"{task.name} {task.seconds:.1f} s" for task in run.tasks.values())
