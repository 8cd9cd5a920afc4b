"""Hands audiences over: their views, their files in full and as what has changed, and a message for each.

The order makes it safe to be killed anywhere. Files come first, under names that follow from what is in them. Then the
row in `audience_runs` makes them count. Then the receiver is told, and its answer is remembered. Whatever is done again
makes the same files under the same names, and a message is sent again with the same id until it is confirmed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.audiences.definitions import GATES, Audience
from crmbet.audiences.notifying import Receiver
from crmbet.audiences.publications import Publications
from crmbet.audiences.records import AudiencesManifest, Publication
from crmbet.audiences.views import ensure_views
from crmbet.contracts.table import ENGINE_TYPES
from crmbet.databases.postgres import single_row
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.datasets.prefetch import local_copies
from crmbet.failures import CrmbetError, DamagedObject
from crmbet.load.score_reasons import reasons_table
from crmbet.storage.digests import digest
from crmbet.storage.verified import keep_files

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.databases.work import Work
    from crmbet.load.session import LoadSession

log = logging.getLogger(__name__)

PARTS = ("full", "entered", "left")
LIST_SEPARATOR = ";"


@dataclass(frozen=True)
class Exported:
    """An audience as the table said at one instant."""

    audience: Audience
    rows: Path
    """CSV of the server, without a header."""
    excluded: dict[str, int]


def publish(
    work: Work,
    session: LoadSession,
    audiences: Sequence[Audience],
    receiver: Receiver | None,
    clock: Callable[[], datetime],
) -> AudiencesManifest:
    """Hand over all audiences of the run's as_of, and tell the receiver of all that it has not confirmed.

    Without a receiver nobody is told. If the table is of another as_of than the run, nothing is handed over: the run of
    that day has done so. Raises `BadAudience` before any file is written, `LockHeld` if another run is handing over,
    and what the receiver answered after everything else is done.
    """
    publications = Publications(session)
    # What is written twice is then equal, byte by byte.
    work.connection.execute("SET threads = 1")
    published: list[Publication] = []
    with scratch_folder(work.run.settings) as folder, _alone(session):
        publications.ensure()
        for exported in _export(work, session, audiences, folder):
            before = publications.newest(exported.audience.name)
            made = _make_files(work, exported, before, folder)
            published.append(made)
            if made != before:
                message = _message(work, exported.audience, made) if receiver else None
                publications.add(made, work.run.run_id, clock(), message)
        delivered = _tell(publications, receiver, clock)
    return AudiencesManifest(publications=published, delivered=delivered)


@contextmanager
def _alone(session: LoadSession) -> Iterator[None]:
    """No other run hands over meanwhile: each publication says what has changed since the one before."""
    lock = f"crmbet.audiences:{session.contract.schema_name}"
    with session.transaction() as cursor:
        session.take_lock(cursor, "load/claim_staging", lock, holder="another hand-over of audiences")
    try:
        yield
    finally:
        # A lost connection has given the lock up already.
        with suppress(CrmbetError), session.transaction() as cursor:
            cursor.execute(render("load/release_staging"), {"lock": lock})


def _export(work: Work, session: LoadSession, audiences: Sequence[Audience], folder: Path) -> list[Exported]:
    """Make the views and read them. No load can come between two of them."""
    with session.exclusive_transaction() as cursor:
        ensure_views(cursor, session, audiences)
        cursor.execute(render("audiences/read_newest", table=session.table))
        (newest,) = single_row(cursor)
        if newest != work.run.window.as_of:
            log.info("the table is of %s: this run hands no audience over", newest)
            return []
        cursor.execute(render("load/spell_reals_exactly"))
        return [_read(cursor, session, audience, folder) for audience in audiences]


def _read(cursor: extensions.cursor, session: LoadSession, audience: Audience, folder: Path) -> Exported:
    columns = [
        Fragment(f"array_to_string({identifier(name)}, {literal(LIST_SEPARATOR)})")
        if column.type == "text[]"
        else identifier(name)
        for name, column in audience.columns.items()
    ]
    path = folder / f"{audience.name}.rows"
    view = session.in_schema(audience.view)
    with path.open("wb") as file:
        cursor.copy_expert(render("audiences/export_members", columns=joined(columns), view=view), file)
    cursor.execute(
        render(
            "audiences/count_players",
            table=session.table,
            reasons=reasons_table(session),
            gate=GATES[audience.purpose],
            condition=audience.condition.sql,
        )
    )
    return Exported(audience, path, {reason: players for reason, players in cursor.fetchall() if reason})


def _make_files(work: Work, exported: Exported, before: Publication | None, folder: Path) -> Publication:
    """Write the files of an audience. Returns `before`, what was handed over last, if that is what there is now."""
    audience, as_of = exported.audience, work.run.window.as_of
    content = _content(exported)
    if before and (before.as_of, before.definition) == (as_of, audience.digest):
        again = _identity(audience, as_of, before.baseline, content)
        if again == before.publication:
            log.info("audience %s: handed over already", audience.name)
            return before
    with local_copies(work) as copies:
        members = Fragment(statement("audiences/no_members"))
        baseline = None
        if before is not None and before.purpose == audience.purpose:
            try:
                (path,) = copies.urls([before.files["full.parquet"]])
            except DamagedObject as damage:
                log.warning("audience %s: everybody counts as entered: %s", audience.name, damage)
            else:
                members = Fragment(f"read_parquet({literal(path)})")
                baseline = before.publication
        written, counts = _write_files(work, exported, members, folder)
    publication = _identity(audience, as_of, baseline, content)
    prefix = work.run.layout.publication(audience.purpose, audience.name, work.run.as_of_date, publication)
    keys = keep_files(work.store, {path: f"{prefix}{name}" for name, path in written.items()})
    withheld = sum(exported.excluded.values())
    log.info("audience %s: %s, %d not handed over", audience.name, counts, withheld)
    return Publication(
        publication=publication,
        audience=audience.name,
        purpose=audience.purpose,
        definition=audience.digest,
        as_of=as_of,
        baseline=baseline,
        members=counts["full"],
        entered=counts["entered"],
        left=counts["left"],
        excluded=exported.excluded,
        files={name: keys[path] for name, path in written.items()},
    )


def _identity(audience: Audience, as_of: datetime, baseline: str | None, content: str) -> str:
    return digest(audience.digest, as_of.isoformat(), baseline or "", content)


def _content(exported: Exported) -> str:
    import hashlib

    with exported.rows.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_files(
    work: Work, exported: Exported, before: Fragment, folder: Path
) -> tuple[dict[str, Path], dict[str, int]]:
    """The files of an audience by name, and their rows by part."""
    audience = exported.audience
    full = folder / f"{audience.name}.full.parquet"
    types = [
        Fragment(
            f"{literal(name)}: {literal('VARCHAR' if column.type == 'text[]' else ENGINE_TYPES[column.type])}"
        )
        for name, column in audience.columns.items()
    ]
    now = literal(str(full))
    queries = {
        "full": render(
            "audiences/read_members",
            file=literal(str(exported.rows)),
            columns=Fragment(f"{{{joined(types)}}}"),
        ),
        "entered": render("audiences/select_entered", now=now, before=before),
        "left": render("audiences/select_left", now=now, before=before),
    }
    written: dict[str, Path] = {}
    counts: dict[str, int] = {}
    for part in PARTS:
        for kind, verb in (("parquet", "databases/copy_to_file"), ("csv", "audiences/copy_to_csv")):
            path = folder / f"{audience.name}.{part}.{kind}"
            text = render(verb, rows=Fragment(queries[part]), path=literal(str(path)))
            (counts[part],) = work.connection.execute(text).fetchone() or (0,)
            written[f"{part}.{kind}"] = path
    return written, counts


def _message(work: Work, audience: Audience, published: Publication) -> str:
    """What the receiver is told. It names no player."""
    said = published.model_dump(mode="json", exclude={"definition", "files"}) | {
        "type": "audience.published",
        "description": audience.definition.description,
        "brand": work.run.settings.brand,
        "files": {name: work.store.url(key) for name, key in published.files.items()},
    }
    return json.dumps(said, sort_keys=True)


def _tell(publications: Publications, receiver: Receiver | None, clock: Callable[[], datetime]) -> int:
    """Tell of all that nobody has confirmed. A message that fails holds back those of its own audience alone."""
    if receiver is None:
        return 0
    delivered = 0
    failures: dict[str, CrmbetError] = {}
    for message in publications.undelivered():
        if message.audience in failures:
            continue
        try:
            receiver.tell(message.publication, message.text, clock())
        except CrmbetError as failure:
            failures[message.audience] = failure
        else:
            publications.mark_delivered(message.publication, clock())
            delivered += 1
    if failures:
        raise next(iter(failures.values()))
    return delivered
