"""Who reads a column: the audiences whose condition names it, or that hand it over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from crmbet.audiences.definitions import Audience, read_audiences
from crmbet.contracts.files import load_reasons_contract, load_table_contract


def readers_in(folder: Path) -> Mapping[str, list[str]]:
    """The names of the audiences of a folder, by column. Raises `BadAudience`, as `read_audiences` does."""
    return readers_of(read_audiences(folder, load_table_contract(), load_reasons_contract()))


def readers_of(audiences: Iterable[Audience]) -> Mapping[str, list[str]]:
    """The names of some audiences, by column."""
    readers: dict[str, list[str]] = {}
    for audience in audiences:
        for column in sorted({*audience.condition.columns, *audience.columns}):
            readers.setdefault(column, []).append(audience.name)
    return readers
