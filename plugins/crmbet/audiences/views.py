"""The views of audiences beside the target: for marketing they are the CRM's to read, and else those who protect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from crmbet.audiences.definitions import GATES, Audience, Purpose
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.failures import BadAudience
from crmbet.load.score_reasons import reasons_table
from crmbet.load.session import DDL_WAIT_SECONDS, limit_lock_wait
from crmbet.run.schemas import role_of
from crmbet.storage.digests import digest

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

READERS: Mapping[Purpose, str] = {"marketing": "crmbet_crm", "protective": "crmbet_responsible_gambling"}
"""The role of include/sql/roles.sql that reads the views of a purpose, as that of the default schema is named."""
COMMENT = "Audience of crmbet for "
"""The beginning of a view's comment. Its purpose follows, which roles.sql reads. Other views are somebody else's."""


def ensure_views(cursor: extensions.cursor, session: LoadSession, audiences: Sequence[Audience]) -> None:
    """Make the views of all audiences, and drop those of audiences that are there no more, in one transaction.

    Raises `BadAudience` if PostgreSQL cannot compare what a condition compares: then all views stay as they were.
    """
    limit_lock_wait(cursor, DDL_WAIT_SECONDS)
    cursor.execute(
        render("audiences/list_views"), {"schema": session.contract.schema_name, "comment": COMMENT}
    )
    found = dict(cursor.fetchall())
    wanted = {audience.view: audience for audience in audiences}
    for name in sorted(found.keys() - wanted.keys()):
        cursor.execute(render("audiences/drop_view", view=session.in_schema(name)))
    for name, audience in wanted.items():
        text = _definition(session, audience)
        comment = f"{COMMENT}{audience.purpose}: {audience.definition.description} ({digest(text)})"
        if found.get(name) == comment:
            continue
        if name in found:
            cursor.execute(render("audiences/drop_view", view=session.in_schema(name)))
        _create(cursor, session, audience, text, comment)


def _definition(session: LoadSession, audience: Audience) -> Fragment:
    columns = [audience.references[name] for name in audience.columns]
    text = render(
        "audiences/create_view",
        view=session.in_schema(audience.view),
        columns=joined(columns),
        table=session.table,
        reasons=reasons_table(session),
        gate=GATES[audience.purpose],
        condition=audience.condition.sql,
    )
    return Fragment(text)


def _create(
    cursor: extensions.cursor, session: LoadSession, audience: Audience, text: Fragment, comment: str
) -> None:
    from psycopg2.errors import DatatypeMismatch, InvalidTextRepresentation, UndefinedFunction

    view = session.in_schema(audience.view)
    try:
        cursor.execute(text)
    except (DatatypeMismatch, InvalidTextRepresentation, UndefinedFunction) as error:
        raise BadAudience(
            f"the condition of the audience {audience.name} compares what cannot be compared",
            where=f"view {session.contract.schema_name}.{audience.view}",
            why=str(error).partition("\n")[0],
            next_step="correct the condition (docs/audiences.md); until then no audience is handed over",
        ) from None
    cursor.execute(render("load/comment_view", view=view, comment=literal(comment)))
    reader = role_of(READERS[audience.purpose], session.contract.schema_name)
    cursor.execute(render("load/list_roles"), {"roles": [reader]})
    for (role,) in cursor.fetchall():
        cursor.execute(render("load/grant_table", table=view, role=identifier(role)))
