"""The feature columns: one statement per theme over state and sessions, and the SELECT that joins them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from crmbet import metering
from crmbet.contracts.alike_ids import create_fold_id
from crmbet.contracts.table import TableContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.learning.records import ModelFit, ModelRun
from crmbet.learning.scoring import HISTORIES, apply_models, learn_models, summarise_histories
from crmbet.learning.scoring import LEARNED as MODELS_LEARNED
from crmbet.run.progress import timed
from crmbet.run.run import Run
from crmbet.run.shards import Shard

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

READ = ("state", "recent_state", "recent_messages", "sessions")
"""Tables of events, of which themes are made."""

DELIVERED = "delivered"
"""The table of one row that says what the sources deliver at all."""

OWN = (
    "users",
    "games",
    "stakes",
    "results",
    "hours",
    "rhythm",
    "devices",
    "visits",
    "money",
    "depositors",
    "life",
    "channels",
    "diversity",
    "protection_play",
    "protection_sessions",
    "protection_limits",
)
"""Themes of which a player's row follows from the player's own events, whoever else there is. They take most of the
time, and can be made for some players at a time."""

VALUES = "protection_values"
"""A player's markers with their names. It follows from other themes of `OWN`, and is longer than these."""

OF_ALL = ("rfm_quarters", "cut_offs")
"""Themes that are taken from all players, and are about none of them."""

SCORED = ("rfm", "lifecycle", "markers", "consent")
"""Themes that compare a player with what was learned from all."""

THEMES = (*OWN, VALUES, *OF_ALL, *SCORED)
"""Statements in include/sql/features/themes/, each after those that it reads; `assemble_features` joins them."""

MODELS = "models"
"""What the meter calls the models, which `lifecycle` joins to the features."""

REASONS = "marker_reasons"
"""The table of why a player shows a risk; those of the models' scores are made with the models."""

USUAL = "usual_markers"
"""The table of the median player's markers, with which the reasons compare a player's."""

COMPARED = (
    *HISTORIES,
    "rhythm",
    "depositors",
    "protection_play",
    "protection_sessions",
    "protection_limits",
)
"""What `learn_from_players` reads of all players."""

KEPT = (*HISTORIES, *OWN)
"""All that the row of a player is made of, but for what is learned from all players."""

LEARNED = (*MODELS_LEARNED, *OF_ALL, USUAL)
"""Tables of what was learned from all players. They have no ids."""

BYTES_A_PLAYER = 4096
"""Memory that joining one player's row of all themes takes. A file of the table holds as many players as fit: a million
at once did not fit into 1 GB."""


def compute_themes(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    *,
    state: Fragment,
    sessions: Fragment,
    cut_offs: Mapping[str, float] | None = None,
    fits: Mapping[str, ModelFit] | None = None,
) -> ModelRun:
    """Compute every theme as a table, for `feature_queries` to join; returns what the models learned.

    The rest is as for `compute_own_themes` and `learn_from_players`.
    """
    compute_own_themes(connection, state=state, sessions=sessions)
    compute_markers(connection)
    models = learn_from_players(connection, run, cut_offs=cut_offs, fits=fits)
    compute_scores(connection)
    return models


def compute_own_themes(
    connection: duckdb.DuckDBPyConnection, *, state: Fragment, sessions: Fragment, shard: Shard | None = None
) -> None:
    """Create the tables of `KEPT`, of all players or of one part of them.

    `state` and `sessions` are table expressions of all players, and hold nothing at or after as_of. The variables are
    bound, and `players` and `unreadable_exclusions` exist as tables or views. With a shard, `all_players` is there
    instead of `players`.
    """
    create_fold_id(connection)
    connection.execute(statement("features/themes/create_measures"))
    players = identifier("all_players" if shard else "players")
    delivered = render("features/themes/read_delivered", state=state, players=players)
    _create_table(connection, DELIVERED, delivered)
    if shard:
        rows = render("databases/read_rows", source=players_of(players, shard))
        connection.execute(render("databases/create_view", name=identifier("players"), rows=Fragment(rows)))
    for name in READ:
        source = players_of(sessions if name == "sessions" else state, shard)
        with timed(log, f"reading {name}"):
            _create_table(connection, name, render(f"features/themes/read_{name}", source=source))
    with metering.in_theme(MODELS):
        summarise_histories(connection)
    for name in OWN:
        _create_theme(connection, name)
    # No later statement reads these, and the join of all themes needs the memory.
    for name in READ:
        connection.execute(f"DROP TABLE {identifier(name)}")


def learn_from_players(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    *,
    cut_offs: Mapping[str, float] | None = None,
    fits: Mapping[str, ModelFit] | None = None,
) -> ModelRun:
    """Create the tables of `LEARNED` and `deposit_values`; returns what the models learned.

    The tables of `COMPARED` are there, and what `compute_markers` makes of them.

    `cut_offs` (marker to cut-off) are the frozen ones; None: these players give them. `fits` are earlier parameters,
    for models that cannot be fitted to these players.
    """
    with timed(log, "models"), metering.in_theme(MODELS):
        models = learn_models(connection, run.settings, run.as_of_date, fits)
    for name in OF_ALL:
        if name == "cut_offs" and cut_offs is not None:
            _create_table(connection, name, _frozen_rows(cut_offs))
        else:
            _create_theme(connection, name)
    _create_table(connection, USUAL, statement("features/themes/usual_markers"))
    return models


def compute_scores(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the themes of `SCORED`, the columns of the models, and the reasons, from all other tables."""
    with metering.in_theme(MODELS):
        apply_models(connection)
    for name in SCORED:
        _create_theme(connection, name)
    with timed(log, "reasons of markers"), metering.in_theme(REASONS):
        _create_table(connection, REASONS, statement("features/themes/explain_markers"))


def compute_markers(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of each player's markers from tables of `COMPARED`, and the macros of statements."""
    connection.execute(statement("features/themes/create_measures"))
    _create_theme(connection, VALUES)


def used_cut_offs(connection: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """The cut-offs that markers are compared with, by marker."""
    return dict(connection.execute(statement("features/themes/used_cut_offs")).fetchall())


def players_of(source: Fragment, shard: Shard | None) -> Fragment:
    """The rows of a table expression whose players belong to a part of all."""
    if shard is None:
        return source
    rows = render(
        "features/themes/select_players",
        source=source,
        parts=Fragment(str(shard.of)),
        number=Fragment(str(shard.number - 1)),
    )
    return Fragment(f"({rows})")


def _frozen_rows(cut_offs: Mapping[str, float]) -> str:
    rows = [Fragment(f"({literal(name)}, {value!r}::DOUBLE)") for name, value in sorted(cut_offs.items())]
    return render("features/themes/frozen_cut_offs", rows=joined(rows))


def feature_queries(connection: duckdb.DuckDBPyConnection, run: Run, table: TableContract) -> list[str]:
    """SELECTs of the run's feature table, each of as many players as fit into memory, in order of their ids.

    They have the contract's columns in order, without the columns that the load sets.
    """
    columns = joined([identifier(name) for name in (table.key, *table.features)])
    hashed = joined([Fragment(f"{identifier(name)} := {identifier(name)}") for name in table.features])
    size = max(1, run.settings.engine.memory_bytes // BYTES_A_PLAYER)
    slices = render("features/themes/list_slices", size=Fragment(str(size)))
    firsts = [literal(str(first)) for (first,) in connection.execute(slices).fetchall()]
    # The first slice has no lower bound, so that there is one slice even without players.
    bounds = pairwise([None, *firsts[1:], None])
    return [
        render("features/themes/assemble_features", columns=columns, hashed=hashed, within=_within(*bound))
        for bound in bounds
    ]


def reason_query(reasons: TableContract) -> str:
    """A SELECT of the run's reasons of scores, with the columns that their contract has."""
    hashed = joined([Fragment(f"{identifier(name)} := {identifier(name)}") for name in reasons.features])
    columns = joined([identifier(name) for name in (reasons.key, *reasons.features)])
    return render("features/themes/assemble_reasons", columns=columns, hashed=hashed)


def _within(first: Fragment | None, beyond: Fragment | None) -> Fragment:
    conditions = [
        Fragment(f"user_id {sign} {bound}") for sign, bound in ((">=", first), ("<", beyond)) if bound
    ]
    return joined(conditions, " AND ") or Fragment("true")


def _create_theme(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    with timed(log, f"theme {name}"), metering.in_theme(name):
        _create_table(connection, name, statement(f"features/themes/{name}"))


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    """Make a table, not a view: other statements read every theme several times."""
    connection.execute(render("databases/create_table", name=identifier(name), rows=Fragment(rows)))
