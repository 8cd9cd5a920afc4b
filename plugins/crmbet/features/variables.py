"""The variables that the feature statements read by name: the run's instants and its settings."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from crmbet import FEATURE_SET_VERSION
from crmbet.databases.statements import Fragment, date_literal, identifier, instant_literal, literal, render
from crmbet.databases.zones import zone_shifts
from crmbet.run.run import Run

if TYPE_CHECKING:
    import duckdb

SIGNATURE = ("known_at", "execution_id")
"""Variables that name the run that made a table and alter nothing else in it."""


def bind_variables(connection: duckdb.DuckDBPyConnection, run: Run, known_at: datetime | None = None) -> None:
    """Set the variables on a connection. `known_at` is what the rows say, if that is not the run's own."""
    named = variables(run) | ({"known_at": instant_literal(known_at)} if known_at else {})
    # Literals: a bound parameter makes the engine's client import pandas, which takes a second.
    for name, value in named.items():
        connection.execute(render("databases/set_variable", name=identifier(name), value=value))


def variables(run: Run) -> dict[str, Fragment]:
    """Name to SQL literal. Instants are timestamps without a zone, in UTC."""
    settings = run.settings
    return {
        "as_of": instant_literal(run.window.as_of),
        "as_of_date": date_literal(run.window.as_of_date),
        "last_day": date_literal(run.window.last_day),
        "known_at": instant_literal(run.known_at),
        "operator_zone": literal(settings.operator_timezone),
        "operator_shifts": zone_shifts(settings.operator_timezone),
        "ticket_low": Fragment(f"{settings.features.ticket_low}::DECIMAL(14, 2)"),
        "ticket_high": Fragment(f"{settings.features.ticket_high}::DECIMAL(14, 2)"),
        "adult_age": Fragment(f"{settings.features.adult_age}::INTEGER"),
        "rg_min_cohort": Fragment(f"{settings.responsible_gambling.rg_min_cohort}::INTEGER"),
        "rg_band_medium": Fragment(f"{settings.responsible_gambling.rg_band_medium}::DOUBLE"),
        "rg_band_high": Fragment(f"{settings.responsible_gambling.rg_band_high}::DOUBLE"),
        "feature_set_version": literal(FEATURE_SET_VERSION),
        "execution_id": literal(run.run_id),
    }
