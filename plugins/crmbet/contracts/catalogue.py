"""The catalogue of the feature table, docs/features.md, from the table's contract and from where its columns come.

`local/catalogue.py` writes it (`make catalogue`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crmbet.contracts.table import FeatureColumn, TableContract

SOURCES = {
    "T": "`tbl_transactions`",
    "B": "bets",
    "S": "sessions",
    "C": "communications",
    "P": "players",
    "L": "limits",
}
PROTECTION = "rg_"
"""The prefix of columns about responsible gambling, which have grants of their own."""

Columns = tuple[tuple[str, str], ...]
"""Pairs of a table and the name of one of its columns."""


@dataclass(frozen=True)
class Origin:
    """What a feature comes from, by the SQL that computes it."""

    sources: Columns
    kept: Columns
    """Columns of what is kept between runs: daily state, and sessions."""
    themes: tuple[str, ...]
    """In the order in which they are computed; the last one has the feature."""


INTRODUCTION = """\
<!-- Made by `make catalogue` from include/contracts/user_features.yaml: change that file, not this one. -->

# The feature table

`{schema}.{name}`: {meaning} Grain: {grain}. Owner: {owner}. {columns} columns.

A row describes a player at one instant, `as_of`, which is midnight in the operator's zone. Only facts before it count.
Windows are counted in operator days up to it: `30d` is the last thirty days, `life` is all days, and `now` is the
newest snapshot. **Empty means undefined**, never zero: the value is a share of nothing, or its source is not delivered.
Money is `numeric(14,2)` in BRL; reals have six decimals. Sources: {sources}.

Columns that begin with `rg_` protect players. They have grants of their own. They may lower marketing and never raise
it. **A band is not a diagnosis**: it says which players somebody should look after first. The role that reads features
for campaigns does not see these columns ([deployment](deployment.md#least-privilege)).
[responsible-gambling.md](responsible-gambling.md) says what they are for.
"""


REASON_HEADS = ("Column", "What it says", "Type", "Example", "Caution")

LINEAGE = """\
Derived from the SQL by SQLGlot (`local/lineage.py`): the columns of the sources, what is kept of them in daily state
and sessions, and the themes in `include/sql/features/themes/` that compute the feature, the last one at the end. A
feature also comes from what chooses its rows. `rows` stands for their number, and `models` for the fitted models. The
player's id and the day are in all of them.
"""


def render_catalogue(table: TableContract, reasons: TableContract, origins: Mapping[str, Origin]) -> str:
    """The page: what the table is, one line per column of it and of score_reasons, and where features come from."""
    introduction = INTRODUCTION.format(
        schema=table.schema_name,
        name=table.name,
        meaning=table.meaning,
        grain=table.grain,
        owner=table.owner,
        columns=len(table.columns),
        sources=", ".join(f"{letter} {name}" for letter, name in SOURCES.items()),
    )
    heads = ("Column", "What it says", "How", "Window", "From", "Type", "Example", "Caution")
    titles = ("Key and features", "Responsible gambling", "Bookkeeping")
    tables = [
        write_table(title, heads, [_cells(name, column) for name, column in columns.items()])
        for title, columns in zip(titles, in_parts(table), strict=True)
    ]
    came = [
        (f"`{name}`", _grouped(origin.sources), _grouped(origin.kept), ", ".join(origin.themes))
        for name, origin in origins.items()
    ]
    lineage = write_table("Where each feature comes from", ("Feature", "Sources", "Kept", "Themes"), came)
    heading, lines = lineage.split("\n\n", 1)
    of_scores = write_table(
        f"`{reasons.schema_name}.{reasons.name}`",
        REASON_HEADS,
        [
            (f"`{name}`", column.meaning, _type(column), f"`{column.example}`", column.caution)
            for name, column in reasons.features.items()
        ],
    )
    reasons_heading, reasons_lines = of_scores.split("\n\n", 1)
    about = f"{reasons.meaning} Grain: {reasons.grain}. [models.md](models.md) says how they are computed."
    return "\n".join(
        [
            introduction,
            *tables,
            f"{reasons_heading}\n\n{about}\n\n{reasons_lines}",
            f"{heading}\n\n{LINEAGE}\n{lines}",
        ]
    )


def _grouped(columns: Columns) -> str:
    by_table: dict[str, list[str]] = {}
    for of, name in columns:
        by_table.setdefault(of, []).append(name)
    return "; ".join(f"{of}: {', '.join(names)}" for of, names in by_table.items())


def in_parts(table: TableContract) -> tuple[dict[str, FeatureColumn], ...]:
    """The columns in three parts, each in the table's order: key and features, responsible gambling, bookkeeping."""
    bookkeeping = {name: column for name, column in table.columns.items() if column.role == "bookkeeping"}
    protecting = {name: column for name, column in table.features.items() if name.startswith(PROTECTION)}
    others = {
        name: column for name, column in table.columns.items() if name not in {*bookkeeping, *protecting}
    }
    return others, protecting, bookkeeping


def write_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], level: int = 2) -> str:
    """A heading and a table in Markdown."""
    lines = [f"{'#' * level} {title}", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(name: str, column: FeatureColumn) -> tuple[str, ...]:
    return (
        f"`{name}`",
        column.meaning,
        column.formula,
        column.window,
        column.sources,
        _type(column),
        f"`{column.example}`",
        column.caution,
    )


def _type(column: FeatureColumn) -> str:
    """Type with its range or values, and whether it may be empty."""
    parts = [f"`{column.postgres_type}`"]
    if column.values:
        parts.append(", ".join(column.values))
    elif column.minimum is not None or column.maximum is not None:
        low = "" if column.minimum is None else f"{column.minimum:g}"
        high = "" if column.maximum is None else f"{column.maximum:g}"
        parts.append(f"{low}..{high}")
    if not column.nullable:
        parts.append("never empty")
    if column.personal:
        parts.append("personal")
    return "; ".join(parts)
