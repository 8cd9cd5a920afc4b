"""The catalogue as a page: what each column says in both languages, how it is computed, and where it comes from.

The monitoring page serves it with today's figures, and `make catalogue` writes it as files that need nothing else
(docs/catalogue/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crmbet.contracts.catalogue import Columns, Origin, in_parts
from crmbet.contracts.table import FeatureColumn, TableContract
from crmbet.texts import LANGUAGES, Language, texts_in

FOLDER = Path(__file__).parent
TEMPLATE = "catalogue.html"
SOURCES = {
    "T": "transactions",
    "B": "bets",
    "S": "sessions",
    "C": "communications",
    "P": "players",
    "L": "limits",
}
"""Letter to source, as the contract names it."""
WINDOWS = {"life": "since the first fact", "now": "the newest snapshot"}
"""Windows that are no number of days, in words."""
PARTS = ("Key and features", "Responsible gambling", "Bookkeeping")
REASONS = "Reasons of scores"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A column as the page shows it."""

    name: str
    column: FeatureColumn
    origin: Origin | None
    readers: tuple[str, ...] = ()
    """Names of the audiences that read it."""

    @property
    def window(self) -> str:
        """The window in words."""
        return WINDOWS.get(self.column.window, self.column.window)

    @property
    def bounds(self) -> str:
        """The range of its values; empty if it has none."""
        low, high = self.column.minimum, self.column.maximum
        return "" if low is None and high is None else f"{_bound(low)}..{_bound(high)}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that its contract names."""
        return tuple(SOURCES[letter.strip()] for letter in self.column.sources.split(",") if letter.strip())

    @cached_property
    def search(self) -> str:
        """What a reader may search for."""
        column = self.column
        parts = (self.name, column.meaning, column.meaning_pt, column.formula, *self.sources, *column.values)
        return " ".join((*parts, *self.readers)).lower()


@dataclass(frozen=True, kw_only=True)
class Part:
    """Columns of one heading."""

    title: str
    entries: Sequence[Entry]
    of: TableContract | None = None
    """Their table, if it is not that of the page."""


def render_page(
    table: TableContract,
    reasons: TableContract,
    origins: Mapping[str, Origin],
    language: Language,
    *,
    readers: Mapping[str, Sequence[str]],
    live: bool,
) -> str:
    """The page of the feature table and of its scores' reasons, in a language.

    `readers` are the audiences that read a column. A `live` page asks for today's figures of the feature table.

    A page that is not live has its looks and its search within.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([FOLDER, FOLDER / "static"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [
        Part(title=title, entries=_entries(columns, origins, readers))
        for title, columns in zip(PARTS, in_parts(table), strict=True)
    ]
    parts.append(Part(title=REASONS, of=reasons, entries=_entries(reasons.features, {}, readers)))
    shown = [part for part in parts if part.entries]
    return environment.get_template(TEMPLATE).render(
        table=table,
        parts=shown,
        columns=sum(len(part.entries) for part in shown),
        language=language,
        languages=[(each, file_name(each)) for each in LANGUAGES],
        say=texts_in(language),
        grouped=grouped,
        live=live,
    )


def _entries(
    columns: Mapping[str, FeatureColumn], origins: Mapping[str, Origin], readers: Mapping[str, Sequence[str]]
) -> list[Entry]:
    return [
        Entry(name=name, column=column, origin=origins.get(name), readers=tuple(readers.get(name, ())))
        for name, column in columns.items()
    ]


def file_name(language: Language) -> str:
    """The file of the page in a language."""
    return "index.html" if language == "en" else f"{language}.html"


def grouped(columns: Columns) -> list[tuple[str, str]]:
    """Pairs of table and columns as tables with their columns in a row."""
    by_table: dict[str, list[str]] = {}
    for of, name in columns:
        by_table.setdefault(of, []).append(name)
    return [(of, ", ".join(names)) for of, names in by_table.items()]


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
