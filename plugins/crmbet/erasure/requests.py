"""Requests to be erased: who may be erased now, who has to wait, and what is overdue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from crmbet.contracts.alike_ids import fold
from crmbet.contracts.erased_players import ErasedPlayers
from crmbet.databases.statements import identifier, render
from crmbet.erasure.ledger import HOLDS, LEDGER, REQUESTS, name_of
from crmbet.erasure.records import Request, Taken
from crmbet.failures import ErasureOverdue
from crmbet.load.session import LoadSession

if TYPE_CHECKING:
    from psycopg2 import extensions

log = logging.getLogger(__name__)


def take_requests(
    session: LoadSession, read_key: Callable[[], bytes], today: date, retention_days: int | None
) -> Taken:
    """Enter all players whom nothing forbids to erase into the ledger. From then on cleaning leaves them out.

    A player waits while a legal hold stands, or until `retention_days` after the player's last fact. Once a request is
    taken, no later hold stops it: some of the player may be gone already. One transaction: an attempt that dies has
    taken nothing.
    """
    requests = session.in_schema(REQUESTS)
    with session.transaction() as cursor:
        cursor.execute(render("erasure/list_requests", table=requests))
        listed = cursor.fetchall()
        found = [Request(*row[:3]) for row in listed]
        is_under_way = {request.request_id: row[3] for request, row in zip(found, listed, strict=True)}
        reasons = _holds(cursor, session, today)
        reasons |= _retained(cursor, session, [each.user_id for each in found], today, retention_days)
        held = {
            each.request_id: why
            for each in found
            if not is_under_way[each.request_id] and (why := reasons.get(fold(each.user_id)))
        }
        taken = [each for each in found if each.request_id not in held]
        key = read_key() if taken else b""
        players = ErasedPlayers(key)
        for each in taken:
            cursor.execute(
                render("erasure/insert_into_ledger", table=session.in_schema(LEDGER)),
                {"player_hash": players.hash_of(each.user_id), "key_name": name_of(key)},
            )
        for each in found:
            why = held.get(each.request_id)
            cursor.execute(
                render("erasure/mark_request", table=requests),
                {
                    "request_id": each.request_id,
                    "state": "held" if why else "erasing",
                    "reason": why,
                },
            )
    for request_id, why in held.items():
        log.warning("request %d has to wait: %s", request_id, why)
    return Taken(
        requests=[each.request_id for each in taken],
        players=len({fold(each.user_id) for each in taken}),
        held=held,
    )


def list_taken(session: LoadSession) -> list[Request]:
    """The requests that are being fulfilled."""
    with session.transaction() as cursor:
        cursor.execute(render("erasure/list_taken", table=session.in_schema(REQUESTS)))
        return [Request(*row) for row in cursor.fetchall()]


def refuse_overdue(session: LoadSession, now: datetime, deadline_days: int) -> None:
    """Raise `ErasureOverdue` if a request is older than the deadline, unless a hold stops it."""
    with session.transaction() as cursor:
        cursor.execute(
            render("erasure/list_overdue", table=session.in_schema(REQUESTS)),
            {"before": now - timedelta(days=deadline_days)},
        )
        overdue = [request_id for (request_id,) in cursor.fetchall()]
    if overdue:
        raise ErasureOverdue(
            f"{len(overdue)} requests for erasure are older than {deadline_days} days: "
            f"{', '.join(map(str, overdue[:20]))}",
            where=f"table {session.contract.schema_name}.{REQUESTS}",
            why="runs of user_features_erasure have failed or were paused",
            next_step="read why its last run failed, mend that, and trigger user_features_erasure",
        )


def _holds(cursor: extensions.cursor, session: LoadSession, today: date) -> dict[str, str]:
    cursor.execute(render("erasure/list_holds", table=session.in_schema(HOLDS)), {"today": today})
    return {fold(user_id): f"a legal hold stands: {reason}" for user_id, reason in cursor.fetchall()}


def _retained(
    cursor: extensions.cursor,
    session: LoadSession,
    user_ids: Collection[str],
    today: date,
    retention_days: int | None,
) -> dict[str, str]:
    """Players whose last fact is younger than the law allows to forget."""
    if retention_days is None or not user_ids:
        return {}
    name = session.contract.name
    cursor.execute(render("load/find_table"), {"schema": session.contract.schema_name, "table": name})
    if cursor.fetchone() is None:
        return {}
    cursor.execute(
        render("erasure/list_last_activity", table=session.table, key=identifier(session.contract.key)),
        {"user_ids": sorted({fold(user_id) for user_id in user_ids})},
    )
    kept_until = {
        fold(user_id): last + timedelta(days=retention_days) for user_id, last in cursor.fetchall() if last
    }
    return {
        player: f"the law demands to keep the player's facts until {until}"
        for player, until in kept_until.items()
        if until >= today
    }
