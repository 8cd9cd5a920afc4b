"""The feature columns: one statement per theme over state and sessions, and the SELECT that joins them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from crmbet import FEATURE_SET_VERSION
from crmbet.contracts.table import TableContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.learning.records import ModelFit, ModelRun
from crmbet.learning.scoring import score_players
from crmbet.run.progress import timed
from crmbet.run.run import Run

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

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
    "thresholds",
    "markers",
    "consent",
)
"""Statements in include/sql/features/themes/, each after those that it asks; `assemble_features` joins them."""

BYTES_A_PLAYER = 4096
"""Memory in which a player's row is joined, of all themes together: a file of the table holds as many players as
fit. A million at once did not fit into 1 GB."""

SIGNATURE = ("known_at", "execution_id")
"""Variables that say which run has made a table, and alter nothing else in it."""


def compute_themes(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    *,
    state: Fragment,
    sessions: Fragment,
    thresholds: Mapping[str, float] | None = None,
    fits: Mapping[str, ModelFit] | None = None,
) -> ModelRun:
    """Compute every theme, for `assemblies` to join; returns what the models learned.

    `state` and `sessions` are table expressions that hold nothing at or after as_of. The variables are bound and
    `players` exists as a table or view. `thresholds` (marker to threshold) are those that have been frozen; None:
    they are taken from this run's players. `fits` serve a model that this run's players do not suffice for.
    """
    read = {"state": state, "recent_state": state, "recent_messages": state, "sessions": sessions}
    for name, source in read.items():
        with timed(log, f"reading {name}"):
            _create_table(connection, name, render(f"features/themes/read_{name}", source=source))
    connection.execute(statement("features/themes/create_measures"))
    with timed(log, "models"):
        models = score_players(connection, run.settings, run.as_of_date, fits)
    for name in THEMES:
        frozen = name == "thresholds" and thresholds is not None
        rows = _frozen_rows(thresholds or {}) if frozen else statement(f"features/themes/{name}")
        with timed(log, f"theme {name}"):
            _create_table(connection, name, rows)
    # The joins of all themes need the memory more than what nobody asks again.
    for name in read:
        connection.execute(f"DROP TABLE {identifier(name)}")
    return models


def _frozen_rows(thresholds: Mapping[str, float]) -> str:
    rows = [Fragment(f"({literal(name)}, {value!r}::DOUBLE)") for name, value in sorted(thresholds.items())]
    return render("features/themes/frozen_thresholds", rows=joined(rows))


def assemblies(connection: duckdb.DuckDBPyConnection, run: Run, table: TableContract) -> list[str]:
    """SELECTs of the run's feature table, each of as many players as fit into memory, in order of their ids.

    They have the contract's columns in order, but those which the load sets.
    """
    columns = joined([identifier(name) for name in (table.key, *table.features)])
    hashed = joined([Fragment(f"{identifier(name)} := {identifier(name)}") for name in table.features])
    size = max(1, run.settings.memory_bytes // BYTES_A_PLAYER)
    slices = render("features/themes/list_slices", size=Fragment(str(size)))
    firsts = [literal(str(first)) for (first,) in connection.execute(slices).fetchall()]
    # The first slice is open to below, so that there is one where there is no player.
    bounds = pairwise([None, *firsts[1:], None])
    return [
        render("features/themes/assemble_features", columns=columns, hashed=hashed, within=_within(*bound))
        for bound in bounds
    ]


def _within(first: Fragment | None, beyond: Fragment | None) -> Fragment:
    conditions = [
        Fragment(f"user_id {sign} {bound}") for sign, bound in ((">=", first), ("<", beyond)) if bound
    ]
    return joined(conditions, " AND ") or Fragment("true")


def bind_variables(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Set what the statements ask for by name. Instants are naive UTC."""
    # Literals: a bound parameter makes the engine's client import pandas, which takes a second.
    for name, value in _variables(run).items():
        connection.execute(render("databases/set_variable", name=identifier(name), value=value))


def _variables(run: Run) -> dict[str, Fragment]:
    return {
        "as_of": _instant(run.window.as_of),
        "as_of_date": Fragment(f"DATE {literal(run.window.as_of_date.isoformat())}"),
        "last_day": Fragment(f"DATE {literal(run.window.last_day.isoformat())}"),
        "known_at": _instant(run.known_at),
        "operator_zone": literal(run.settings.operator_timezone),
        "ticket_low": Fragment(f"{run.settings.ticket_low}::DECIMAL(14, 2)"),
        "ticket_high": Fragment(f"{run.settings.ticket_high}::DECIMAL(14, 2)"),
        "adult_age": Fragment(f"{run.settings.adult_age}::INTEGER"),
        "rg_min_cohort": Fragment(f"{run.settings.rg_min_cohort}::INTEGER"),
        "rg_band_medium": Fragment(f"{run.settings.rg_band_medium}::DOUBLE"),
        "rg_band_high": Fragment(f"{run.settings.rg_band_high}::DOUBLE"),
        "feature_set_version": literal(FEATURE_SET_VERSION),
        "execution_id": literal(run.run_id),
    }


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    """A table, since every theme is read several times."""
    connection.execute(render("databases/create_table", name=identifier(name), rows=Fragment(rows)))


def _instant(instant: datetime) -> Fragment:
    return Fragment(f"TIMESTAMP {literal(instant.astimezone(UTC).replace(tzinfo=None).isoformat(' '))}")
