"""The feature columns: one statement per theme over state and sessions, and the SELECT that joins them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from crmbet import metering
from crmbet.contracts.alike_ids import create_fold_id
from crmbet.contracts.table import TableContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.learning.records import ModelFit, ModelRun
from crmbet.learning.scoring import score_players
from crmbet.run.progress import timed
from crmbet.run.run import Run
from crmbet.run.shards import Shard

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

READ = ("state", "recent_state", "recent_messages", "sessions")
"""Tables of events, of which themes are made."""

THEMES = (
    "users",
    "games",
    "stakes",
    "results",
    "hours",
    "rhythm",
    "devices",
    "visits",
    "money",
    "rfm",
    "lifecycle",
    "channels",
    "diversity",
    "protection_play",
    "protection_sessions",
    "protection_limits",
    "protection_values",
    "cut_offs",
    "markers",
    "consent",
)
"""Statements in include/sql/features/themes/, each after those that it reads; `assemble_features` joins them."""

MODELS = "models"
"""What the meter calls the models, which `lifecycle` joins to the features."""

REASONS = "marker_reasons"
"""The table of why a player shows a risk; those of the models' scores are made with the models."""

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
    "channels",
    "diversity",
    "protection_play",
    "protection_sessions",
    "protection_limits",
)
"""Themes of which a player's row follows from the player's own events, whoever else there is. They take most of the
time, and can be made for some players at a time."""

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
    own_themes: Fragment | None = None,
) -> ModelRun:
    """Compute every theme as a table, for `feature_queries` to join; returns what the models learned.

    `state` and `sessions` are table expressions that hold nothing at or after as_of. The variables are bound, and
    `players` and `unreadable_exclusions` exist as tables or views. `cut_offs` (marker to cut-off) are the frozen ones;
    None: this run's players give them. `fits` are earlier parameters, for models that cannot be fitted to this run's
    players. `own_themes` are rows of `own_themes_query` for all players: then the themes of `OWN` are read from them.
    """
    read = _read(connection, state, sessions, only=("state",) if own_themes else READ)
    with timed(log, "models"), metering.in_theme(MODELS):
        models = score_players(connection, run.settings, run.as_of_date, fits)
    for name in THEMES:
        if own_themes and name in OWN:
            rows = render("features/themes/restore_theme", theme=identifier(name), kept=own_themes)
        elif name == "cut_offs" and cut_offs is not None:
            rows = _frozen_rows(cut_offs)
        else:
            rows = statement(f"features/themes/{name}")
        with timed(log, f"theme {name}"), metering.in_theme(name):
            _create_table(connection, name, rows)
    with timed(log, "reasons of markers"), metering.in_theme(REASONS):
        _create_table(connection, REASONS, statement("features/themes/explain_markers"))
    # No later statement reads these, and the join of all themes needs the memory.
    for name in read:
        connection.execute(f"DROP TABLE {identifier(name)}")
    return models


def own_themes_query(connection: duckdb.DuckDBPyConnection, *, state: Fragment, sessions: Fragment) -> str:
    """Compute the themes of `OWN` for the players of `state`, and return a SELECT of them: a row for each player.

    What must exist is as for `compute_themes`; `players` holds these players alone.
    """
    _read(connection, state, sessions, only=READ)
    for name in OWN:
        with timed(log, f"theme {name}"), metering.in_theme(name):
            _create_table(connection, name, statement(f"features/themes/{name}"))
    kept = {name: identifier(f"kept_{name}") for name in OWN}
    return render(
        "features/themes/keep_themes",
        themes=joined([Fragment(f"{kept[name]} AS {identifier(name)}") for name in OWN], ",\n    "),
        joins=joined(
            [
                Fragment(f"LEFT JOIN {identifier(name)} AS {kept[name]} USING (user_id)")
                for name in OWN
                if name != "users"
            ],
            "\n",
        ),
    )


def players_of(source: Fragment, shard: Shard) -> Fragment:
    """The rows of a table expression whose players belong to a part of all."""
    rows = render(
        "features/themes/select_players",
        source=source,
        parts=Fragment(str(shard.of)),
        number=Fragment(str(shard.number - 1)),
    )
    return Fragment(f"({rows})")


def _read(
    connection: duckdb.DuckDBPyConnection, state: Fragment, sessions: Fragment, *, only: Sequence[str]
) -> Sequence[str]:
    """Make the tables of events that themes read, and the macros. Returns the names of the tables."""
    create_fold_id(connection)
    for name in only:
        source = sessions if name == "sessions" else state
        with timed(log, f"reading {name}"):
            _create_table(connection, name, render(f"features/themes/read_{name}", source=source))
    connection.execute(statement("features/themes/create_measures"))
    return only


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


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    """Make a table, not a view: other statements read every theme several times."""
    connection.execute(render("databases/create_table", name=identifier(name), rows=Fragment(rows)))
