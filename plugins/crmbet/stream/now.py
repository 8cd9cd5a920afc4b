"""The view `user_features_now`: the daily row of each player with the live one, so that one relation is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmbet.contracts.table import MARKETING
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.load.session import DDL_WAIT_SECONDS, limit_lock_wait
from crmbet.load.target import PROTECTED, column_list, find_readers
from crmbet.stream.live import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

NOW = "user_features_now"
LIVE_COLUMNS = tuple(name for name in (*COLUMNS, "committed_at") if name not in ("user_id", MARKETING))


def ensure_now(cursor: extensions.cursor, session: LoadSession, live: Fragment, zone: str) -> None:
    """Make the view, or make it again if the feature table has other columns by now. Nothing without that table.

    `live` is the table of live rows, quoted and qualified; `zone` is the operator's.
    """
    daily = _columns(cursor, session, session.contract.name)
    if not daily:
        return
    wanted = [name for name in daily if name != MARKETING] + [MARKETING, *map(_named, LIVE_COLUMNS)]
    if _columns(cursor, session, NOW) == wanted:
        return
    view = session.in_schema(NOW)
    limit_lock_wait(cursor, DDL_WAIT_SECONDS)
    cursor.execute(render("stream/drop_now", view=view))
    cursor.execute(
        render(
            "stream/create_now",
            view=view,
            daily=session.table,
            live=live,
            zone=literal(zone),
            daily_columns=joined([identifier("daily", name) for name in daily if name != MARKETING]),
            live_columns=joined(
                [
                    Fragment(f"{identifier('live', name)} AS {identifier(_named(name))}")
                    for name in LIVE_COLUMNS
                ]
            ),
        )
    )
    for role, reads_all in find_readers(cursor, session.contract.schema_name).items():
        readable = [name for name in wanted if reads_all or not name.startswith(PROTECTED)]
        grant = render("load/grant_columns", table=view, columns=column_list(readable), role=identifier(role))
        cursor.execute(grant)


def _named(name: str) -> str:
    """The name of a live column beside the daily ones."""
    return name if name.startswith(PROTECTED) else f"live_{name}"


def _columns(cursor: extensions.cursor, session: LoadSession, relation: str) -> Sequence[str]:
    cursor.execute(
        render("stream/list_columns"), {"schema": session.contract.schema_name, "relation": relation}
    )
    return [name for (name,) in cursor.fetchall()]
