"""The one setting that a DAG file needs: parsing must not pay for the model of all settings."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmbet.failures import BadSetting

VARIABLE = "CRMBET_OPERATOR_TIMEZONE"
DEFAULT = "America/Sao_Paulo"


def operator_timezone(environ: Mapping[str, str]) -> str:
    """The operator's zone, whose midnights are the schedule. Raises `BadSetting`, shown as an import error."""
    zone = environ.get(VARIABLE, "").strip() or DEFAULT
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSetting(
            f"{VARIABLE} has a bad value: not an IANA time zone such as America/Sao_Paulo",
            where="the environment of the DAG processor",
            next_step="correct the variable",
        ) from None
    return zone
