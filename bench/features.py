"""Cleaning and features from captured rows, compared with tuned pandas that starts from the same rows, already typed.

Each runs in a process of its own, on the same cores. The two tables must be equal, cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from bench.apart import Apart, median_of, run_apart
from bench.events import Events, deliver_bets, deliver_players, deliver_transactions
from bench.figures import Figure
from bench.pipeline import COMPUTING, EXTRACTS, features_of, run_tasks
from bench.rebuild import REBUILD_MEMORY, differing_rows, rebuild_apart
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.contracts.files import load_table_contract
from crmbet.databases.duckdb import attach_postgres
from crmbet.extract.postgres import SOURCE

LIMIT_OVER_BARE = 1.6
SHOWN_SHARE = 0.002
"""A step that takes at least this share of our time has a line of its own."""
TOLERANCE = 1.000001e-6
"""One in the last of six decimals. Sums of doubles depend on their order; our sums are exact."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How two feature tables differ."""

    players: int
    differing: Mapping[str, int]
    """Number of cells by column. For `user_id`, the players that only one table has."""
    nearly_equal: int
    """Reals that differ only by rounding."""
    compared: str
    """Text: how many of the features the peer has."""


def measure(
    workbench: Workbench,
    folder: Path,
    events: Events,
    memory_limit: str,
    *,
    rounds: int,
    pandas_keeps: bool,
    least_speedup: float,
    least_memory_ratio: float | None = None,
) -> list[Figure]:
    """Deliver, capture, then compute both ways in turn, and compare what came out.

    With `pandas_keeps` pandas writes its cleaned rows, as the pipeline always does.
    """
    with workbench.operator(folder.name) as operator:
        days = range(events.days)
        deliver_bets(operator, events, days)
        deliver_players(operator, events)
        deliver_transactions(operator, events, days)
        # known_at is so soon after as_of that some rows had not been ingested.
        ours = PipelineRun(
            operator=operator, as_of=events.as_of(), known_after_minutes=20, memory_limit=memory_limit
        )
        run_tasks(ours, *EXTRACTS)
        typed = folder / "typed"
        _write_typed(operator, typed)
        pandas, pipeline = [], []
        for number in range(rounds):
            pandas.append(_run_pandas(ours, typed, keep=pandas_keeps))
            # Later rounds ignore what an earlier round left, and start from the captures.
            pipeline.append(run_tasks(replace(ours, full_refresh=number > 0), *COMPUTING))
        equality = _equality(compare(ours, typed / "features.parquet"))
        roomy = replace(ours, memory_limit=REBUILD_MEMORY)
        at_once, bare = rebuild_apart(roomy), rebuild_apart(roomy, "captured")
        alike = differing_rows(ours)
    size = f"{events.bets:,} bets, {events.transactions:,} transactions, {events.days} days"
    return [
        *_figures(
            size,
            median_of(pipeline),
            median_of(pandas),
            bare,
            memory_limit,
            (least_speedup, least_memory_ratio),
        ),
        equality,
        Figure(
            name="the same table from all captured events by bare statements",
            value=bare.stopwatch.total,
            unit="s",
            note=f"read, duplicates removed, nothing counted or kept, no matrix: {bare.peak_mib:.0f} MiB",
        ),
        Figure(name="players whose row differs from that", value=alike, unit="players", limit=0),
        Figure(
            name="clean and engineer_features over bare statements",
            value=median_of(pipeline).stopwatch.total / bare.stopwatch.total,
            unit="x",
            limit=LIMIT_OVER_BARE,
            note=f"{median_of(pipeline).cpu_seconds / bare.cpu_seconds:.2g} of their processor time",
        ),
        Figure(
            name="the same table from all cleaned events in one go",
            value=at_once.stopwatch.total,
            unit="s",
            note=f"the statements alone: nothing cleaned or kept, {at_once.peak_mib:.0f} MiB",
        ),
        Figure(
            name="floor: pandas' processor time over that of bare statements",
            value=median_of(pandas).cpu_seconds / bare.cpu_seconds,
            unit="x",
            note=f"{bare.cpu_seconds:.1f} s, imports included: counting and keeping nothing would come to this",
        ),
    ]


def _write_typed(operator: Operator, folder: Path) -> None:
    """Write the delivered rows as Parquet for pandas, with the contracts' types. Money is double, which is fastest."""
    folder.mkdir(parents=True)
    with operator.engine() as engine:
        attach_postgres(engine, operator.source_url, SOURCE, read_only=True)
        lake = operator.store.url("raw")
        rows = {
            "bets": "SELECT * REPLACE (stake::DOUBLE AS stake, payout::DOUBLE AS payout, "
            "balance_after::DOUBLE AS balance_after) "
            f"FROM read_parquet('{lake}/bets/*/*', hive_partitioning = false)",
            "transactions": "SELECT * REPLACE (transaction_id::VARCHAR AS transaction_id, amount::DOUBLE AS amount) "
            f"FROM {SOURCE}.public.tbl_transactions",
            "players": f"FROM read_csv('{lake}/players/*/*', all_varchar = false, hive_partitioning = false)",
        }
        for name, query in rows.items():
            engine.execute(f"COPY ({query}) TO '{folder / name}.parquet' (FORMAT parquet)")


def _run_pandas(ours: PipelineRun, folder: Path, *, keep: bool) -> Apart:
    run = ours.run
    instants = [
        instant.astimezone(UTC).replace(tzinfo=None).isoformat()
        for instant in (run.window.as_of, run.known_at)
    ]
    settings = (run.settings.operator_timezone, str(run.settings.engine.threads))
    return run_apart("bench.peer", str(folder), *instants, *settings, *(["keep"] if keep else []))


def compare(ours: PipelineRun, theirs: Path) -> Comparison:
    """Compare every cell that the peer has: text, money and whole numbers exactly, reals up to rounding.

    The peer leaves out columns whose feeds are not delivered here; ours are NULL then.
    """
    with ours.operator.engine() as engine:
        described = engine.execute(f"DESCRIBE SELECT * EXCLUDE (user_id) FROM read_parquet('{theirs}')")
        computed = [str(name) for name, *_ in described.fetchall()]
    unlike = {"user_id": "ours.user_id IS NULL OR theirs.user_id IS NULL"}
    nearly = []
    features = load_table_contract().features
    for name in computed:
        column = features[name]
        left, right = f'ours."{name}"', f'theirs."{name}"'
        unlike[name] = f"{left} IS DISTINCT FROM {right}"
        if column.type in ("real", "r01"):
            nearly.append(f"count(*) FILTER ({left} <> {right} AND abs({left} - {right}) <= {TOLERANCE})")
            unlike[name] = f"({unlike[name]}) AND (abs({left} - {right}) > {TOLERANCE}) IS NOT FALSE"
    counts = [f"count(*) FILTER ({condition})" for condition in unlike.values()]
    with ours.operator.engine() as engine:
        [(players, nearly_equal, *differing)] = engine.execute(
            f"SELECT count(*), {' + '.join(nearly)}, {', '.join(counts)} "
            f"FROM read_parquet({features_of(ours)}, hive_partitioning = false) AS ours "
            f"FULL JOIN read_parquet('{theirs}') AS theirs USING (user_id)"
        ).fetchall()
    lacking = [name for name in features if name not in computed]
    return Comparison(
        players=players,
        differing={name: count for name, count in zip(unlike, differing, strict=True) if count},
        nearly_equal=nearly_equal,
        compared=f"{len(computed)} of {len(features)} features (without {', '.join(lacking) or 'none'})",
    )


def _figures(
    size: str,
    pipeline: Apart,
    pandas: Apart,
    bare: Apart,
    memory_limit: str,
    least: tuple[float, float | None],
) -> list[Figure]:
    ours, theirs = pipeline.stopwatch, pandas.stopwatch
    without_matrix = theirs.total / (ours.total - pipeline.steps["matrix"])
    return [
        Figure(name="clean and engineer_features", value=ours.total, unit="s", note=f"{size}: {ours}"),
        *(
            Figure(name=f"  {step}", value=seconds, unit="s")
            for step, seconds in pipeline.steps.items()
            if seconds >= ours.total * SHOWN_SHARE
        ),
        Figure(name="the same by pandas", value=theirs.total, unit="s", note=str(theirs)),
        Figure(
            name="pandas' time over ours",
            value=theirs.total / ours.total,
            unit="x",
            least=least[0],
            floor=theirs.total / bare.stopwatch.total,
            note=f"{without_matrix:.2g} without the matrix, which pandas does not make",
        ),
        Figure(
            name="pandas' processor time over ours",
            value=pandas.cpu_seconds / pipeline.cpu_seconds,
            unit="x",
            note=f"{pandas.cpu_seconds:.1f} s over {pipeline.cpu_seconds:.1f} s, imports on both sides",
        ),
        Figure(
            name="clean and engineer_features, peak memory",
            value=pipeline.peak_mib,
            unit="MiB",
            note=f"memory_limit {memory_limit}",
        ),
        Figure(name="the same by pandas, peak memory", value=pandas.peak_mib, unit="MiB"),
        Figure(
            name="pandas' peak memory over ours",
            value=pandas.peak_mib / pipeline.peak_mib,
            unit="x",
            least=least[1],
        ),
    ]


def _equality(comparison: Comparison) -> Figure:
    named = ", ".join(f"{name} {count}" for name, count in comparison.differing.items())
    return Figure(
        name="cells in which pandas and ours differ",
        value=sum(comparison.differing.values()),
        unit="cells",
        limit=0,
        note=f"{comparison.players:,} players, {comparison.compared}: "
        + (named or f"{comparison.nearly_equal} reals differ by one in the sixth decimal"),
    )
