"""`python -m local.simulator`: fills the lake and tbl_transactions with a simulated operator's data."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import date
from typing import TYPE_CHECKING

import psycopg2
from botocore.exceptions import BotoCoreError, ClientError

from crmbet.run.schedule import operator_timezone
from local.simulator.delivery import Delivery, deliver
from local.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.lake_bucket or not options.source_url:
        parser.error("no lake bucket or source: set CRMBET_LAKE_BUCKET and CRMBET_SOURCE_URL "
                     "(source .local/env.sh), or give --lake-bucket and --source-url")  # fmt: skip
    try:
        world = World(
            options.seed,
            options.players,
            options.start,
            options.end,
            options.timezone or operator_timezone(os.environ),
        )
    except ValueError as problem:
        parser.error(str(problem))
    try:
        delivery = deliver(
            world, bucket=options.lake_bucket, source_url=options.source_url, broken=options.broken
        )
    except (BotoCoreError, ClientError, psycopg2.OperationalError) as problem:
        print(
            f"Could not fill bucket {options.lake_bucket} or the source database: {problem}\n"
            "Check that the services run (make services) and that CRMBET_SOURCE_URL and the AWS_ variables "
            "are theirs,\nthen run this again: what is written already is left alone.",
            file=sys.stderr,
        )
        return 1
    print(json.dumps(delivery.as_dict()) if options.json else _summary(world, delivery))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--players", type=int, default=2_000)
    parser.add_argument("--start", type=date.fromisoformat, required=True, help="the operator's first day")
    parser.add_argument(
        "--end", type=date.fromisoformat, required=True, help="the day after the last, exclusive"
    )
    parser.add_argument(
        "--timezone", default=None, help="the operator's zone, by default CRMBET_OPERATOR_TIMEZONE"
    )
    parser.add_argument("--lake-bucket", default=os.environ.get("CRMBET_LAKE_BUCKET"))
    parser.add_argument("--source-url", default=os.environ.get("CRMBET_SOURCE_URL"), help="libpq URL")
    parser.add_argument(
        "--broken", action="store_true", help="spoil the last day's bets: 30%% without a user, 20%% twice"
    )
    parser.add_argument("--json", action="store_true", help="print the whole delivery and its dirt as JSON")
    return parser


def _summary(world: World, delivery: Delivery) -> str:
    lines = [
        f"{world.players:,} players, {world.start_day} to {world.end_day} (exclusive), seed {world.seed}"
    ]
    for feed, rows in sorted(delivery.rows.items()):
        bad, twice = delivery.dirt.total(feed, "quarantined"), delivery.dirt.total(feed, "deduplicated")
        lines.append(f"  {feed:<15}{rows:>12,} rows, of which {bad:,} to quarantine and {twice:,} duplicates")
    lines.append(
        f"  {delivery.objects_written:,} objects written ({delivery.bytes_written / 1e6:.1f} MB), "
        f"{delivery.objects_kept:,} already there; {delivery.transactions_inserted:,} transactions inserted"
    )
    rate = delivery.events / delivery.seconds
    lines.append(f"  {delivery.events:,} events in {delivery.seconds:.1f} s ({rate:,.0f} a second)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
