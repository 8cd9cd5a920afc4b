"""Certificates: after a proof that found nothing, the ids go from the requests, and a record of the proof is kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from crmbet.contracts.alike_ids import fold
from crmbet.databases.statements import render
from crmbet.erasure.ledger import CERTIFICATES, REQUESTS
from crmbet.erasure.records import Certificate, Request, Searched
from crmbet.failures import ErasureUnproven
from crmbet.load.session import LoadSession
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import write_record

log = logging.getLogger(__name__)

NAMED_PLACES = 20
"""So many places are named in a message. All are counted."""
BEYOND_REACH = (
    "the operator's own sources: the lake's raw/ and the source database",
    "backups of databases, snapshots of disks, and PostgreSQL's write-ahead log",
    "earlier versions of objects, if the bucket keeps versions",
    "logs on other machines than the one that ran this task, and logs that were shipped elsewhere",
    "what readers of the tables have copied",
)
"""Places that no proof of ours searches."""


def certify(
    requests: Sequence[Request],
    searched: Sequence[Searched],
    run: Run,
    now: datetime,
    not_searched: Sequence[str],
) -> Certificate:
    """The certificate of a proof. Raises `ErasureUnproven` if something was found, or could not be decoded."""
    found = [f"{place} ({each.place})" for each in searched for place in each.found]
    unread = [f"{place} ({each.place})" for each in searched for place in each.unread]
    if found:
        raise ErasureUnproven(
            f"{len(found)} places still name an erased player",
            where=_named(found),
            why="they were written while the players were being erased, or by somebody else",
            next_step="clear erase_players with downstream; what is not ours, mend or delete by hand before that",
        )
    if unread:
        raise ErasureUnproven(
            f"{len(unread)} objects cannot be decoded, so nobody knows whom they name",
            where=_named(unread),
            why="they are damaged",
            next_step="mend or delete them (docs/runbook.md#damaged-object), and clear erase_players with downstream",
        )
    return Certificate(
        certificate_id=f"erasure-{now.astimezone(UTC):%Y%m%dt%H%M%Sz}-{min(each.request_id for each in requests)}",
        brand=run.settings.brand,
        run_id=run.run_id,
        issued_at=now,
        requests=[each.request_id for each in requests],
        players=len({fold(each.user_id) for each in requests}),
        searched=list(searched),
        not_searched=[*not_searched, *BEYOND_REACH],
    )


def complete(session: LoadSession, store: ObjectStore, run: Run, certificate: Certificate) -> str:
    """Keep a certificate in the store and in its table, and forget the ids of its requests. Returns its key.

    An attempt that dies between the two leaves a certificate in the store whose requests are still open. They get
    another one.
    """
    key = f"{run.layout.certificates}{certificate.certificate_id}.json"
    write_record(store, key, certificate, indent=1)
    document = certificate.model_dump_json()
    with session.transaction() as cursor:
        cursor.execute(
            render("erasure/insert_certificate", table=session.in_schema(CERTIFICATES)),
            {
                "certificate_id": certificate.certificate_id,
                "issued_at": certificate.issued_at,
                "document": document,
                "sha256": hashlib.sha256(document.encode()).hexdigest(),
            },
        )
        cursor.execute(
            render("erasure/close_requests", table=session.in_schema(REQUESTS)),
            {
                "request_ids": certificate.requests,
                "certificate_id": certificate.certificate_id,
                "ended_at": certificate.issued_at,
            },
        )
    connection = session.connection
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(render("erasure/vacuum_tables", tables=session.in_schema(REQUESTS)))
    finally:
        connection.autocommit = False
    return key


def _named(places: Sequence[str]) -> str:
    more = len(places) - NAMED_PLACES
    return ", ".join(places[:NAMED_PLACES]) + (f" and {more} more" if more > 0 else "")
