"""One run's access to the target: its transactions, its name on the server, the lock that queues loads."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crmbet.databases import postgres
from crmbet.databases.statements import Fragment, identifier, render
from crmbet.failures import LoadRefused, LockHeld
from crmbet.load.owner import find_owners
from crmbet.run.settings import TimeoutSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2 import extensions

    from crmbet.contracts.table import TableContract

DDL_WAIT_SECONDS = 5
"""How long DDL waits for a table. Readers queue behind a waiting ALTER or DROP, so it gives up soon."""
APPLICATION_NAME_BYTES = 63


@dataclass(frozen=True, kw_only=True)
class LoadSession:
    """What every step of a load needs. The connection is in no transaction before and after each step."""

    connection: extensions.connection = field(repr=False)
    contract: TableContract
    run_id: str
    lock_timeout_seconds: int
    brand: str = "default"
    """The brand whose players the run loads."""
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    """Those of the engine's own sessions with the target."""

    @property
    def table(self) -> Fragment:
        """The target, quoted and qualified."""
        return self.in_schema(self.contract.name)

    @property
    def history(self) -> Fragment:
        """The history table, quoted and qualified."""
        return self.in_schema(history_name(self.contract))

    @property
    def where(self) -> str:
        """The target, for messages."""
        return f"table {self.contract.schema_name}.{self.contract.name}, run {self.run_id}"

    def in_schema(self, table: str) -> Fragment:
        """A table beside the target, quoted and qualified."""
        return identifier(self.contract.schema_name, table)

    @contextmanager
    def transaction(self) -> Iterator[extensions.cursor]:
        """A transaction that shows the run's name on the server, and that waits for a lock only so long."""
        with postgres.transaction(self.connection, where=self.where) as cursor:
            cursor.execute(render("load/name_session"), {"name": self._application_name})
            limit_lock_wait(cursor, self.lock_timeout_seconds)
            yield cursor

    @contextmanager
    def exclusive_transaction(self) -> Iterator[extensions.cursor]:
        """A transaction during which no other load, backup or change of the target's shape can run.

        It takes the load lock first. Under READ COMMITTED every later statement then sees what the last holder
        committed. The lock ends with the transaction, also after a failure.

        Raises `LockHeld`, which names the holder, after `lock_timeout_seconds`. Raises `LoadRefused` if the table
        belongs to another brand.
        """
        with self.transaction() as cursor:
            self._take_load_lock(cursor)
            self.refuse_other_brand(cursor)
            yield cursor

    def refuse_other_brand(self, cursor: extensions.cursor) -> None:
        """Raise `LoadRefused` if the target or its history belongs to another brand. Reads no row of them.

        A table that names no brand was made by a release that did not record it: the next load takes it over.
        """
        tables = [self.contract.name, history_name(self.contract)]
        owners = find_owners(cursor, self.contract.schema_name, tables)
        for table, owner in owners.items():
            if owner not in (None, self.brand):
                raise LoadRefused(
                    f"the table {table} belongs to the brand {owner}, and this run is of the brand {self.brand}",
                    where=self.where,
                    why="each brand needs a database of its own: two in one table would overwrite each other's players",
                    next_step="point the connection crmbet_target of this deployment at a database of its own, or "
                    f"correct CRMBET_BRAND; if the table really belongs to {self.brand} now, run: COMMENT ON TABLE "
                    f"{self.in_schema(table)} IS '';",
                )

    def hold_writers_off(self, cursor: extensions.cursor, table: Fragment) -> None:
        """Keep others from writing a table until the transaction ends. They can still read it.

        This keeps counts and checksums exact over several statements. It cancels an autovacuum of the table that is
        under way; PostgreSQL starts it again later.
        """
        cursor.execute(render("load/lock_table", table=table))

    @property
    def _application_name(self) -> str:
        name = f"crmbet run {self.run_id}".encode("ascii", "replace")
        return name[:APPLICATION_NAME_BYTES].decode("ascii")

    def _take_load_lock(self, cursor: extensions.cursor) -> None:
        lock = f"crmbet.load:{self.contract.schema_name}.{self.contract.name}"
        self.take_lock(cursor, "load/take_load_lock", lock, holder="another load of the table")

    def take_lock(self, cursor: extensions.cursor, statement: str, lock: str, *, holder: str) -> None:
        """Take an advisory lock by a statement of include/sql/. `holder` says in words who else may have it.

        Raises `LockHeld`, which names the holder, after the time that the transaction waits for a lock.
        """
        from psycopg2.errors import LockNotAvailable

        cursor.execute("SAVEPOINT before_lock")
        try:
            cursor.execute(render(statement), {"lock": lock})
        except LockNotAvailable:
            cursor.execute("ROLLBACK TO SAVEPOINT before_lock")
            cursor.execute(render("load/find_lock_holder"), {"lock": lock})
            raise self._explain_holder(cursor.fetchone(), holder) from None
        cursor.execute("RELEASE SAVEPOINT before_lock")

    def _explain_holder(self, found: tuple[int, str] | None, holder: str) -> LockHeld:
        waited = f"waited {self.lock_timeout_seconds} s for its lock"
        if found is None:
            return LockHeld(
                f"{holder} was under way",
                where=self.where,
                why=f"{waited}; its holder has just ended",
                next_step=postgres.RETRIED_BY_ITSELF,
            )
        pid, application = found
        # A session shows the name of its run within a transaction.
        named = f": {application!r}" if application else ""
        return LockHeld(
            f"{holder} is under way{named}, server process {pid}",
            where=self.where,
            why=waited,
            next_step=f"{postgres.RETRIED_BY_ITSELF}; if the other one is dead, end its process with "
            f"SELECT pg_terminate_backend({pid})",
        )


def history_name(contract: TableContract) -> str:
    """The name of the history table, which keeps every player's row of every as_of."""
    return f"{contract.name}_history"


def limit_lock_wait(cursor: extensions.cursor, seconds: int) -> None:
    """Let later statements of the transaction wait at most `seconds` for a lock, and then fail with `LockHeld`."""
    cursor.execute(render("load/limit_lock_wait"), {"lock_timeout": f"{seconds}s"})
