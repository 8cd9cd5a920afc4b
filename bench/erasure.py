"""Erasing players: the bytes that a pass moves, compared with computing everything from the captures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.events import Events, deliver_bets, deliver_players, deliver_transactions
from bench.figures import Figure
from bench.pipeline import COMPUTING, EXTRACTS, TASKS, run_tasks
from bench.workbench import PipelineRun, Workbench
from crmbet.contracts.erased_players import erased_of
from crmbet.databases.parquet import scan
from crmbet.erasure.proof import Wanted, search_store
from crmbet.erasure.rewriting import rewrite_store
from crmbet.erasure.spellings import Spellings
from crmbet.features.records import FeatureManifest
from crmbet.run.records import read_manifest
from crmbet.storage.object_store import ObjectStore

LIMIT = 1.5
REQUESTS = (1, 100)
KEY = b"a key that erases nobody but players of the bench"


@dataclass
class Moved:
    """Bytes between the process and S3."""

    size: int = 0


def measure(workbench: Workbench, events: Events) -> list[Figure]:
    """A pass for one player, and one for a hundred more."""
    with workbench.operator("erasure") as operator:
        days = range(events.days)
        deliver_bets(operator, events, days)
        deliver_players(operator, events)
        deliver_transactions(operator, events, days)
        run = PipelineRun(operator=operator, as_of=events.as_of())
        run_tasks(run, *EXTRACTS)
        # The first run computes everything from the captures, as a rebuild does, and the store holds nothing twice.
        with _metered(operator.store) as rebuilt:
            for task in COMPUTING:
                TASKS[task](run)
        players = _players(run)
        figures = []
        erased: list[str] = []
        for requests in REQUESTS:
            asked = players[len(erased) : len(erased) + requests]
            erased += asked
            hashes = erased_of(KEY, erased)
            with run.work() as work, _metered(operator.store) as moved:
                began = time.process_time()
                removed = rewrite_store(work, hashes, asked)
                spent = time.process_time() - began
            with run.work() as work, _metered(operator.store) as searched:
                found = search_store(work, Wanted(hashes, Spellings.of(asked))).found
            if found:
                raise RuntimeError(f"{len(found)} objects still name an erased player")
            figures.append(
                Figure(
                    name=f"erase {requests} of {events.players:,} players, over computing all from the captures: bytes",
                    value=moved.size / rebuilt.size,
                    unit="x",
                    limit=LIMIT,
                    note=f"{moved.size / 1e6:,.0f} MB, {spent:.1f} s of processor; {removed.files} files; "
                    f"the proof reads {searched.size / 1e6:,.0f} MB",
                )
            )
        return figures


def _players(pipeline_run: PipelineRun) -> list[str]:
    """The ids of the players of a run."""
    made = read_manifest(
        pipeline_run.operator.store, pipeline_run.run.prefix, "engineer_features", FeatureManifest
    )
    with pipeline_run.work() as work:
        rows = scan(pipeline_run.operator.store, made.files)
        return [
            user_id
            for (user_id,) in work.connection.execute(f"SELECT user_id FROM {rows} ORDER BY 1").fetchall()
        ]


@contextmanager
def _metered(store: ObjectStore) -> Iterator[Moved]:
    """Count the bytes of objects that are fetched, read, uploaded and written."""
    moved = Moved()
    fetch, read, upload, write = store.fetch, store.read, store.upload, store.write

    def metered_fetch(key: str, path: Path) -> None:
        fetch(key, path)
        moved.size += path.stat().st_size

    def metered_read(key: str) -> bytes | None:
        content = read(key)
        moved.size += len(content or b"")
        return content

    def metered_upload(path: Path, key: str) -> None:
        moved.size += path.stat().st_size
        upload(path, key)

    def metered_write(key: str, content: bytes, content_type: str = "application/json") -> None:
        moved.size += len(content)
        write(key, content, content_type)

    metered: dict[str, Any] = {
        "fetch": metered_fetch, "read": metered_read, "upload": metered_upload, "write": metered_write,
    }  # fmt: skip
    vars(store).update(metered)
    try:
        yield moved
    finally:
        for name in metered:
            del vars(store)[name]
