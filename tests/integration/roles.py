"""The roles of include/sql/roles.sql on the server of the tests, made as its administrator would."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import closing

import psycopg2

from crmbet.databases.statements import STATEMENTS
from crmbet.run.schemas import ROLES
from local.postgres import SUPERUSER, programs

LOADER = "crmbet_loader"
GROUPS = ROLES


def create_roles(url: str, *options: str) -> None:
    """Run roles.sql in a database; `url` is the administrator's, `options` are psql's."""
    run_script(url, "roles.sql", *options)


def run_script(url: str, script: str, *options: str) -> None:
    """Run a script of include/sql/ as psql does it."""
    command = [str(programs() / "psql"), "-X", "-q", url, *options, "-f", str(STATEMENTS / script)]
    subprocess.run(command, check=True, capture_output=True)


def make_login_of_loader(url: str) -> str:
    """Let the loader's role log in, as docs/deployment.md says; its URL. It has no right by being anybody."""
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {LOADER} LOGIN")
        cursor.execute(f"REVOKE ALL ON DATABASE {admin.info.dbname} FROM PUBLIC")
        cursor.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO {LOADER}")
    return as_login(url, LOADER)


def as_login(url: str, login: str) -> str:
    """The administrator's URL of a database, for another login."""
    return url.replace(f"{SUPERUSER}@", f"{login}@")


def drop_roles(urls: Sequence[str], logins: Sequence[str] = (), groups: Sequence[str] = GROUPS) -> None:
    """Remove roles and logins, which are the whole server's, with all that they have in these databases."""
    statements = [(url, f"DROP OWNED BY {', '.join(groups)} CASCADE") for url in urls]
    statements += [(url, f"DROP ROLE {', '.join([*logins, *groups])}") for url in urls[-1:]]
    for url, statement in statements:
        with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
            cursor.execute(statement)
