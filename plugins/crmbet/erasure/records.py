"""The records of an erasure: what was asked for, what was removed, and the certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from crmbet.run.records import Record


@dataclass(frozen=True)
class Request:
    """A person's demand to be erased that is not fulfilled yet."""

    request_id: int
    user_id: str
    requested_at: datetime


class Taken(Record):
    """What became of the open requests."""

    requests: list[int]
    """Those that this run fulfils."""
    players: int
    held: dict[int, str] = Field(default_factory=dict)
    """Those that have to wait, each with the reason."""


class Removed(Record):
    """Rows and objects that lost a player."""

    files: int = 0
    """Parquet files that were written again without them."""
    rows: int = 0
    documents: int = 0
    """Reports in which their ids were blotted out."""
    renamed: dict[str, str] = Field(default_factory=dict)
    """Files of audiences, by the keys of those that they replace. A table names them."""
    tables: dict[str, int] = Field(default_factory=dict)
    """Rows that were deleted or mended, by relation."""


class Searched(Record):
    """A place that was searched, and how much of it there was."""

    place: str
    items: int
    size: int
    """Bytes as they are stored; rows of tables."""
    found: list[str] = Field(default_factory=list)
    """Where an id was found. It names objects, tables and columns, and no id."""
    unread: list[str] = Field(default_factory=list)
    """What could not be decoded, so that nobody knows what it holds."""


class Certificate(Record):
    """What was erased for whom, and the proof that nothing is left. It holds no id."""

    certificate_id: str
    brand: str
    run_id: str
    issued_at: datetime
    requests: list[int]
    players: int
    searched: list[Searched]
    not_searched: list[str]
    """Places that this proof cannot reach."""
