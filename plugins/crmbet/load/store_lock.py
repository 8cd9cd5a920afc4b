"""The lock of a brand's store: tasks that read and write it share it, and an erasure has it alone.

It is a lock of the target's server, since all tasks of a brand know that server, wherever they run. It belongs to a
session, so it ends with a task that dies. Who waits for it alone comes before all who ask to share it later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crmbet.databases.postgres import single_row
from crmbet.databases.statements import render
from crmbet.load.session import LoadSession

OTHERS = "a task that works on the store, or an erasure,"
LOOK_SECONDS = 5
"""How often a task that lasts for hours looks whether an erasure waits for it."""


def keep_store(session: LoadSession, *, alone: bool) -> None:
    """Take the lock until the session ends. Raises `LockHeld`, which names the holder, after the session's wait."""
    statement = "load/keep_store_alone" if alone else "load/keep_store"
    with session.transaction() as cursor:
        session.take_lock(cursor, statement, _name(session), holder=OTHERS)


@dataclass
class StoreWanted:
    """Tells a task that lasts for hours when to make room for an erasure."""

    session: LoadSession
    clock: Callable[[], float]
    """Seconds that never go back."""
    _looked_at: float = float("-inf")
    _is_wanted: bool = False

    def by_an_erasure(self) -> bool:
        """Whether one waits for the store. It asks the server every few seconds."""
        if self.clock() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self.clock()
            with self.session.transaction() as cursor:
                cursor.execute(render("load/find_lock_waiter"), {"lock": _name(self.session)})
                self._is_wanted = bool(single_row(cursor)[0])
        return self._is_wanted


def _name(session: LoadSession) -> str:
    return f"crmbet.store:{session.contract.schema_name}"
