"""What each step of a first run and of one more day costs: processor time, requests to S3 and bytes, at several sizes.

`python -m bench.cost` computes from these figures what other sizes would cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.apart import Apart
from bench.events import Events, deliver_bets, deliver_players, deliver_transactions
from bench.far_store import Request, open_far_store
from bench.figures import Figure
from bench.growth import BETS_A_PLAYER, BETS_A_TRANSACTION
from bench.pipeline import COMPUTING, EXTRACTS, run_tasks
from bench.workbench import PipelineRun, Workbench

STEPS = (*EXTRACTS, *COMPUTING)


def measure(workbench: Workbench, sizes: Sequence[int], days: int) -> list[Figure]:
    """Run operators of several sizes from nothing, and then one day more."""
    return [figure for size in sorted(sizes) for figure in _figures_of(workbench, size, days)]


def is_write(request: Request) -> bool:
    """Whether Amazon charges a request as a write: those that write, and those that list."""
    return request.method in ("PUT", "POST") or "list-type=" in request.path


def _figures_of(workbench: Workbench, bets: int, days: int) -> list[Figure]:
    events = Events(
        bets=bets,
        transactions=bets // BETS_A_TRANSACTION,
        players=max(1, bets // BETS_A_PLAYER),
        days=days + 1,
    )
    figures = []
    with workbench.operator(f"steps-{bets}") as operator:
        deliver_players(operator, events)
        with open_far_store(operator.lake.endpoint_url or "", workbench.folder) as store:
            near = PipelineRun(operator=replace(operator, endpoint=store.endpoint), as_of=events.as_of(days))
            for name, run, new in (
                ("first run", near, range(days)),
                ("one more day", replace(near, as_of=events.as_of()), range(days, days + 1)),
            ):
                deliver_bets(operator, events, new)
                deliver_transactions(operator, events, new)
                for step in STEPS:
                    seen = len(store.requests())
                    apart = run_tasks(run, step)
                    figures += _figures_of_step(
                        f"{bets:,} bets, {name}, {step}", apart, store.requests()[seen:]
                    )
        stored: Counter[str] = Counter()
        for prefix in ("raw/", run.run.layout.root):
            for entry in operator.store.list(prefix):
                stored[prefix] += entry.size
    figures += [
        Figure(name=f"{bets:,} bets, bytes in {prefix}", value=size / 1e6, unit="MB")
        for prefix, size in stored.items()
    ]
    return figures


def _figures_of_step(name: str, apart: Apart, requests: Sequence[Request]) -> list[Figure]:
    kinds: Mapping[bool, int] = Counter(is_write(request) for request in requests)
    return [
        Figure(name=f"{name}, CPU", value=apart.cpu_seconds, unit="s"),
        Figure(name=f"{name}, writes", value=kinds.get(True, 0), unit="requests"),
        Figure(name=f"{name}, reads", value=kinds.get(False, 0), unit="requests"),
    ]
