"""The operator's time zone: the one setting that a DAG file needs.

It lives apart from `crmbet.run.settings` because a DAG file is parsed every few seconds, and importing the model of all
settings takes longer than the whole rest of the parse. `Settings` takes its default and its check from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmbet.failures import BadSetting

VARIABLE = "CRMBET_OPERATOR_TIMEZONE"
DEFAULT_TIMEZONE = "America/Sao_Paulo"


def operator_timezone(environ: Mapping[str, str]) -> str:
    """Read the operator's zone. The daily DAG starts at its midnights.

    Raises `BadSetting` for an unknown zone; Airflow shows it as an import error of the DAG.
    """
    zone = environ.get(VARIABLE, "").strip() or DEFAULT_TIMEZONE
    try:
        return checked_zone(zone)
    except ValueError as error:
        raise BadSetting(
            f"{VARIABLE} has a bad value: {error}",
            where="the environment of the DAG processor",
            next_step="correct the variable",
        ) from None


def checked_zone(zone: str) -> str:
    """Return the zone's name as it is. Raises `ValueError`, which does not repeat it, if there is no such zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("not an IANA time zone such as America/Sao_Paulo") from error
    return zone
