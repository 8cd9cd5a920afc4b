"""How far each feature is from its baseline, as rows of `feature_drift` beside the target: one row per run and feature.

The monitoring page shows them. They are counts of players by bin, and no player.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from crmbet.databases.statements import render
from crmbet.load.side_tables import ensure_side_table

if TYPE_CHECKING:
    from datetime import date, datetime

    from crmbet.load.session import LoadSession
    from crmbet.quality.measures.moves import FeatureMove

TABLE = "feature_drift"


def write_drift(
    session: LoadSession,
    moves: Iterable[FeatureMove],
    *,
    as_of: datetime,
    baseline: date,
    written_at: datetime,
) -> None:
    """Write a run's rows in one transaction. They replace those of an earlier try.

    `baseline` is the date that names the baseline. Raises what `LoadSession.transaction` raises.
    """
    run = {"execution_id": session.run_id}
    with session.transaction() as cursor:
        table = ensure_side_table(cursor, session, TABLE)
        cursor.execute(render("load/delete_feature_drift", table=table), run)
        for move in moves:
            row = {
                **run,
                "as_of": as_of,
                "baseline": baseline,
                "feature": move.feature,
                "psi": move.psi,
                "psi_limit": move.psi_limit,
                "beyond": list(move.beyond),
                "bins": json.dumps(move.bins),
                "written_at": written_at,
            }
            cursor.execute(render("load/insert_feature_drift", table=table), row)
