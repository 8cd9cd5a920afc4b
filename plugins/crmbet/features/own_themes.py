"""Themes of some players, kept for the task that makes the table of all players.

A part of the players lies in the folder of its run, under a digest of what it was made from. The table is made from
parts only if all of them are there and whole. Otherwise it is made from state and sessions, as on one machine.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from crmbet.databases.parquet import scan, write_file
from crmbet.databases.statements import Fragment
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import LocalCopies
from crmbet.failures import DamagedObject
from crmbet.features.kept_table import TableInputs
from crmbet.run.shards import Shard
from crmbet.storage.digests import digest
from crmbet.storage.layout import attempt_name

log = logging.getLogger(__name__)


def keep_own_themes(work: Work, inputs: TableInputs, shard: Shard, query: str) -> int:
    """Write the rows of a part of the players. Returns their number."""
    _, rows = write_file(work, f"{_folder(inputs, shard)}{attempt_name()}.parquet", query)
    return rows


def find_own_themes(work: Work, inputs: TableInputs, files: LocalCopies) -> Fragment | None:
    """A table expression of the themes of all players; None unless every part of them is there."""
    shards = Shard.all_of(work.run.settings.engine.shards)
    if len(shards) == 1:
        return None
    found = [[entry.key for entry in work.store.list(_folder(inputs, shard))] for shard in shards]
    if not all(found):
        log.warning("%d of %d parts of the players are missing: none is used", found.count([]), len(shards))
        return None
    keys = [min(keys) for keys in found]
    try:
        files.urls(keys)
    except DamagedObject as damage:
        log.warning("the parts of the players are not used: %s", damage)
        return None
    return scan(files, keys)


def _folder(inputs: TableInputs, shard: Shard) -> str:
    import duckdb

    # Parts do not depend on earlier fits. Another release of the engine may cut the players in another way.
    made_from = digest(replace(inputs, fits={}).digest(None), duckdb.__version__)
    return f"{inputs.run.layout.players(inputs.run.run_id)}{made_from}/{shard.number}_of_{shard.of}/"
