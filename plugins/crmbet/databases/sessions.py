"""How sessions with PostgreSQL begin, by psycopg2 and in the data engine: their time-outs, and where they find names.

The libpq options of a connection win over our time-outs. Only `search_path` is ours whatever they say: where others may
create functions in `public`, a better match there would run in the place of PostgreSQL's own function, with our rights.
A temporary object is never looked for before the catalogue's, and never as a function. All other names are qualified.
"""

from __future__ import annotations

import math
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from crmbet.databases.libpq_defaults import completed
from crmbet.databases.silence import limit_connecting, limit_session
from crmbet.failures import BadSetting
from crmbet.redaction import remember
from crmbet.run.settings import TimeoutSettings

if TYPE_CHECKING:
    from psycopg2 import extensions

SEARCH_PATH = "pg_catalog,pg_temp"
KEEPALIVES = 3
"""So many probes without an answer mean that the other side is gone."""
SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
"""Options of libpq that are secret."""
LIMIT = re.compile(
    r"(?:-c\s*|--)(?P<name>statement[_-]timeout|idle[_-]in[_-]transaction[_-]session[_-]timeout)"
    r"\s*=\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|min|h|d)?",
    re.IGNORECASE,
)
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
DEFAULT_PORT = 5432
GRACE_SECONDS = 2


def read_dsn(dsn: str) -> dict[str, str]:
    """The libpq options in a libpq URL or key=value string. From now on no text shows its secrets.

    Raises `BadSetting` if it cannot be read. The error repeats nothing of it, since libpq would quote all of it.
    """
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    try:
        options: dict[str, str] = parse_dsn(dsn)
    except ProgrammingError:
        raise BadSetting(
            "the address of a database cannot be read",
            where="its URL, or its libpq string of key=value",
            why="it has an option that libpq does not know, or a letter that a URL has to encode",
            next_step="write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %20 for a blank, %40 for @, "
            "%3A for : and %2F for /",
        ) from None
    remember(*(options.get(name) for name in SECRETS))
    return options


def session_options(dsn: str, timeouts: TimeoutSettings, *, firm: bool = False) -> dict[str, str]:
    """The libpq options of a session: those of `dsn`, our time-outs where it has none, and our search_path.

    What `dsn` leaves to a service file or to the environment counts as its own. With `firm`, our time-outs win
    over those of `dsn`. Raises `BadSetting` if `dsn` or its service cannot be read.
    """
    given = completed(read_dsn(dsn))
    remember(*(given.get(name) for name in SECRETS))
    answer = timeouts.answer_timeout_seconds
    ours = {
        "connect_timeout": str(timeouts.connect_timeout_seconds),
        "keepalives": "1",
        "keepalives_idle": str(answer),
        "keepalives_interval": str(max(1, answer // KEEPALIVES)),
        "keepalives_count": str(KEEPALIVES),
        "tcp_user_timeout": str(answer * 1000),
    }
    limits = (
        f"-c statement_timeout={timeouts.statement_timeout_seconds}s "
        f"-c idle_in_transaction_session_timeout={timeouts.idle_timeout_seconds}s"
    )
    # Of two values for one name the server takes the later one.
    settings = [given.get("options", ""), limits] if firm else [limits, given.get("options", "")]
    options = " ".join(filter(None, [*settings, f"-c search_path={SEARCH_PATH}"]))
    return ({**given, **ours} if firm else {**ours, **given}) | {"options": options}


def open_session(
    dsn: str, timeouts: TimeoutSettings, *, firm: bool = False, **defaults: str
) -> extensions.connection:
    """Connect by psycopg2. `defaults` are libpq options that `dsn` may have itself. Raises psycopg2's errors."""
    import psycopg2

    from crmbet.databases.metered_cursor import MeteredCursor

    options: dict[str, Any] = {**defaults, **session_options(dsn, timeouts, firm=firm)}
    # psycopg2 would ask for it itself, in a query before the connection is ours. The engine's sessions keep their
    # DateStyle: views of the source may read dates by it.
    options["options"] += " -c DateStyle=ISO"
    with limit_connecting(hosts(options), _connecting_limit(options, timeouts)):
        connection: extensions.connection = psycopg2.connect(cursor_factory=MeteredCursor, **options)
    limit_session(connection, silence_limit(options["options"], timeouts))
    return connection


def silence_limit(options: str, timeouts: TimeoutSettings) -> float:
    """For how many seconds a healthy server may be silent, given the `options` of a session.

    A statement runs no longer than statement_timeout, and a transaction waits for us no longer than
    idle_in_transaction_session_timeout. If one of them is 0, the limit is infinite.
    """
    limits = {
        found["name"].lower().replace("-", "_"): float(found["number"])
        * SECONDS[(found["unit"] or "ms").lower()]
        for found in LIMIT.finditer(options)
    }
    if not limits or not all(limits.values()):
        return math.inf
    return max(limits.values()) + timeouts.connect_timeout_seconds


def _connecting_limit(options: dict[str, Any], timeouts: TimeoutSettings) -> float:
    """For how many seconds a healthy server may be silent until it has let us in. libpq's own error comes before."""
    given = str(options["connect_timeout"])
    seconds = int(given) if given.isdecimal() else timeouts.connect_timeout_seconds
    return seconds + GRACE_SECONDS if seconds else math.inf


def hosts(options: dict[str, str]) -> list[tuple[str, int]]:
    """The TCP hosts and ports that libpq options name; none for a socket of the machine."""
    addresses, names = ((options.get(name) or "").split(",") for name in ("hostaddr", "host"))
    names = [address or name for address, name in zip_longest(addresses, names, fillvalue="")]
    ports = (options.get("port") or str(DEFAULT_PORT)).split(",")
    if len(ports) == 1:
        ports *= len(names)
    return [
        (name, int(port or DEFAULT_PORT))
        for name, port in zip(names, ports, strict=False)
        if name and not name.startswith(("/", "@"))
    ]
