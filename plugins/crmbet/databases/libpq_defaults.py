"""What libpq takes from its environment and from service files, where a connection does not say it.

We have to know it before libpq does: a server is only watched if its host is known, our time-outs must not win over
those of a service, and a password of a service is a secret like any other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from crmbet.failures import BadSetting

VARIABLES = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGPASSWORD": "password",
    "PGOPTIONS": "options",
    "PGCONNECT_TIMEOUT": "connect_timeout",
}
"""The options among libpq's variables that we look at or set. It reads the others itself."""
OPTION = re.compile(r"(?!service(?:file)?\b)([a-z_]+)=(.*)")


def completed(options: dict[str, str]) -> dict[str, str]:
    """These libpq options with those of their service and those of the environment, in libpq's order of precedence.

    Raises `BadSetting`, which repeats no value, if the service is not found or cannot be read.
    """
    given = {name: value for name, value in options.items() if name not in ("service", "servicefile")}
    service = options.get("service") or os.environ.get("PGSERVICE")
    of_service = _read_service(service, options.get("servicefile")) if service else {}
    of_environment = {
        option: os.environ[variable] for variable, option in VARIABLES.items() if variable in os.environ
    }
    return {**of_environment, **of_service, **given}


def _read_service(service: str, of_connection: str | None) -> dict[str, str]:
    file = of_connection or os.environ.get("PGSERVICEFILE")
    files = [Path(file) if file else Path.home() / ".pg_service.conf"]
    if folder := os.environ.get("PGSYSCONFDIR"):
        files.append(Path(folder) / "pg_service.conf")
    for path in files:
        if path.is_file() and (found := _read_section(service, path)) is not None:
            return found
    raise _refused(service, f"no service file has it, among {', '.join(map(str, files))}")


def _read_section(service: str, path: Path) -> dict[str, str] | None:
    """The options in the first section of this name, of which the first of each counts; None if there is none."""
    found: dict[str, str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            if found is not None:
                break
            found = {} if text.startswith(f"[{service}]") else None
        elif found is not None:
            # libpq itself may have been built to look up an address of LDAP here. We cannot, so we say so.
            option = OPTION.fullmatch(text)
            if option is None:
                raise _refused(service, f"line {number} of {path} is no option=value")
            found.setdefault(option[1], option[2])
    return found


def _refused(service: str, why: str) -> BadSetting:
    return BadSetting(
        f"the service {service} of a database cannot be read",
        where="the service file of libpq on the worker",
        why=why,
        next_step="correct the file, or write host, port and login into the connection itself",
    )
