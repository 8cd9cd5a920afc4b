"""How fast the simulator makes and delivers events, and whether its memory grows with the days."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

from bench.figures import Figure
from local.env import lake_variables
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace

START = date(2026, 1, 1)
LIMIT_SECONDS_A_MILLION = 20.0
PLAYERS = 5_000


def measure(folder: Path, days: int) -> list[Figure]:
    """Simulate and deliver to real services: first half of the days, then all of them."""
    workspace = Workspace(folder / "services")
    postgres, store = EmbeddedPostgres(workspace), EmbeddedObjectStore(workspace)
    postgres.start()
    store.start()
    try:
        figures = []
        for part in (max(1, days // 2), days):
            name = f"{part}-days"
            postgres.create_database(name)
            store.create_bucket(f"bench-{name}")
            environ = lake_variables(workspace, f"bench-{name}")
            figures += _simulate(part, environ, postgres.url(name))
        return figures
    finally:
        store.stop()
        postgres.stop()


def _simulate(days: int, environ: dict[str, str], source_url: str) -> list[Figure]:
    end = START + timedelta(days=days)
    command = [sys.executable, "-m", "local.simulator", "--json", "--players", str(PLAYERS)]
    command += ["--start", START.isoformat(), "--end", end.isoformat(), "--source-url", source_url]
    command += ["--lake-bucket", environ["CRMBET_LAKE_BUCKET"]]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command[1:]],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    *_, report, peak = done.stdout.splitlines()
    delivered = json.loads(report)
    events = delivered["events"]
    note = f"{events:,} events, {PLAYERS:,} players, {days} days"
    return [
        Figure(
            name=f"simulate {days} days, seconds a million events",
            value=delivered["seconds"] * 1e6 / events,
            unit="s",
            limit=LIMIT_SECONDS_A_MILLION,
            note=note,
        ),
        Figure(name=f"simulate {days} days, peak memory", value=int(peak) / 2**10, unit="MiB", note=note),
    ]


PEAK = """
import resource, subprocess, sys
status = subprocess.run([sys.executable, *sys.argv[1:]]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
"""Runs a command and prints its peak memory, in KiB, on a line of its own."""
