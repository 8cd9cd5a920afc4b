"""The views of players who are in another segment than a day and thirty days before, and counts of them.

`segment_movements` is for campaigns. `rg_segment_movements` is about responsible gambling and has grants of its own.
Both are made from the history when somebody reads them, so nothing has to be kept, and nothing can be out of date.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.failures import LockHeld
from crmbet.load.records import Movement
from crmbet.load.session import DDL_WAIT_SECONDS, limit_lock_wait
from crmbet.run.schemas import role_of
from crmbet.storage.digests import digest

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

READER, RESPONSIBLE_GAMBLING = "crmbet_reader", "crmbet_responsible_gambling"


@dataclass(frozen=True)
class View:
    """One of the two views."""

    about: str
    """How the statements begin that say what a segment is, and why a player has moved."""
    segments: tuple[str, ...]
    columns: tuple[str, ...]
    """The columns of the history that it reads, beside the key. A history without one of them has no such view."""
    readers: tuple[str, ...]
    """The roles that may read it, as the default schema's are named."""


VIEWS: Mapping[str, View] = {
    "segment_movements": View(
        about="load/segment",
        segments=("rfm_segment", "churn_risk_band", "lifecycle_stage"),
        columns=(
            "rfm_segment", "recency_score", "frequency_score", "monetary_score", "churn_risk_band", "churn_risk_score",
            "churn_prob_30d", "lifecycle_stage", "days_since_last_activity", "active_days_30d", "tenure_days",
        ),
        readers=(READER, RESPONSIBLE_GAMBLING),
    ),
    "rg_segment_movements": View(
        about="load/rg_segment",
        segments=("rg_risk_band",),
        columns=("rg_risk_band", "rg_risk_score", "rg_markers_triggered"),
        readers=(RESPONSIBLE_GAMBLING,),
    ),
}  # fmt: skip

log = logging.getLogger(__name__)


def ensure_movements(session: LoadSession, operator_zone: str) -> None:
    """Create the views, or replace those that another release or zone has made. The history must exist.

    A view that somebody reads for long stays as it is until the next run, since a load is worth more than a view.
    """
    for name in _possible(session):
        try:
            with session.exclusive_transaction() as cursor:
                limit_lock_wait(cursor, DDL_WAIT_SECONDS)
                _ensure_view(cursor, session, name, operator_zone)
        except LockHeld as held:
            log.warning("the view %s is made by the next run: %s", name, held)


def count_movements(session: LoadSession, as_of: datetime) -> list[Movement]:
    """Players by where they came from and went to, those who stayed among them.

    It is empty if the table is not of `as_of`, or if the history has no day to compare with.
    """
    movements: list[Movement] = []
    with session.transaction() as cursor:
        for name in _possible(session):
            cursor.execute(render("load/count_movements", view=session.in_schema(name)), {"as_of": as_of})
            moved = [
                Movement(
                    days=days,
                    dimension=dimension,
                    from_segment=before,
                    to_segment=after,
                    players=players,
                    reason=reason,
                )
                for days, dimension, before, after, players, reason in cursor.fetchall()
            ]
            movements += moved
            for dimension in VIEWS[name].segments:
                movements += _stays(cursor, session, dimension, as_of, moved)
    return movements


def _possible(session: LoadSession) -> list[str]:
    """The views whose columns the contract has."""
    return [name for name, view in VIEWS.items() if {*view.columns} <= {*session.contract.columns}]


def _ensure_view(cursor: extensions.cursor, session: LoadSession, name: str, operator_zone: str) -> None:
    view, qualified = VIEWS[name], session.in_schema(name)
    text = render(
        "load/create_movements",
        view=qualified,
        table=session.table,
        history=session.history,
        columns=joined([identifier(column) for column in view.columns]),
        zone=literal(operator_zone),
        dimensions=Fragment(statement(f"{view.about}_dimensions")),
        reasons=Fragment(statement(f"{view.about}_reasons")),
    )
    comment = f"Made from the history when it is read ({digest(text)})"
    cursor.execute(statement("load/find_view"), {"view": qualified})
    found = cursor.fetchone()
    if found is not None and found[0] == comment:
        return
    cursor.execute(text)
    cursor.execute(render("load/comment_view", view=qualified, comment=literal(comment)))
    roles = [role_of(role, session.contract.schema_name) for role in view.readers]
    cursor.execute(statement("load/list_roles"), {"roles": roles})
    for (role,) in cursor.fetchall():
        cursor.execute(render("load/grant_table", table=qualified, role=identifier(role)))


def _stays(
    cursor: extensions.cursor, session: LoadSession, dimension: str, as_of: datetime, moved: list[Movement]
) -> list[Movement]:
    cursor.execute(
        render("load/count_segments", table=session.table, dimension=identifier(dimension)), {"as_of": as_of}
    )
    sizes = cursor.fetchall()
    compared = {movement.days for movement in moved if movement.dimension == dimension}
    stayed = []
    for days in sorted(compared):
        for segment, players in sizes:
            entered = sum(
                movement.players
                for movement in moved
                if (movement.days, movement.dimension, movement.to_segment) == (days, dimension, segment)
            )
            if segment is not None and players > entered:
                stayed.append(
                    Movement(
                        days=days, dimension=dimension, from_segment=segment, to_segment=segment,
                        players=players - entered,
                    )
                )  # fmt: skip
    return stayed
