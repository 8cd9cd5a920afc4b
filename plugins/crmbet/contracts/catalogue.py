"""Writes docs/features.md, the catalogue of the feature table, from the table's contract.

python -m crmbet.contracts.catalogue > docs/features.md      (make catalogue)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from crmbet.contracts.files import load_table_contract
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


def render_catalogue(table: TableContract) -> str:
    """The page: what the table is, and one line per column, in the table's order."""
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
    return "\n".join([introduction, *tables])


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


if __name__ == "__main__":
    sys.stdout.write(render_catalogue(load_table_contract()))
