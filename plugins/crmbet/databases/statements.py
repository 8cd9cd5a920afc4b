"""SQL statements are files in include/sql/. This is the only way to put identifiers and literals into them.

Values are bound parameters. `render` replaces `{name}` placeholders by identifiers, and by the few values that an
engine takes only as literals, such as a path in COPY. They are made by `identifier`, `quoted` and `literal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from crmbet.storage.digests import digest

STATEMENTS = Path(__file__).parents[3] / "include" / "sql"

ALLOWED_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Fragment(str):
    """SQL text that is safe to put into a statement, such as a quoted identifier, a literal, or a list of them."""

    __slots__ = ()


@cache
def statement(name: str) -> str:
    """The text of include/sql/<name>.sql, `name` such as 'load/merge_rows'."""
    return (STATEMENTS / f"{name}.sql").read_text(encoding="utf-8")


def render(name: str, /, **fragments: Fragment) -> str:
    """The statement with every `{placeholder}` replaced. Raises `TypeError` for a plain string: quote it first."""
    for placeholder, fragment in fragments.items():
        if not isinstance(fragment, Fragment):
            raise TypeError(f"{placeholder} of {name} is not a Fragment: use identifier() or literal()")
    return statement(name).format_map(fragments)


def identifier(*names: str) -> Fragment:
    """A quoted, possibly qualified identifier. Raises `ValueError` outside letters, digits and underscores."""
    for name in names:
        if not ALLOWED_IDENTIFIER.fullmatch(name):
            raise ValueError(f"{name!r} is not allowed as an SQL identifier")
    return Fragment(".".join(f'"{name}"' for name in names))


def quoted(name: str) -> Fragment:
    """Any name as one quoted identifier, such as a column's name in a file, which no allow-list can know."""
    return Fragment('"' + name.replace('"', '""') + '"')


def literal(value: str) -> Fragment:
    """A quoted string literal, for places where an engine takes no parameter. Raises `ValueError` for a NUL."""
    if "\0" in value:
        raise ValueError("a NUL cannot be quoted")
    return Fragment("'" + value.replace("'", "''") + "'")


def date_literal(day: date) -> Fragment:
    """A day as a DATE."""
    return Fragment(f"DATE {literal(day.isoformat())}")


def instant_literal(instant: datetime) -> Fragment:
    """An instant as a TIMESTAMP without a zone, in UTC."""
    return Fragment(f"TIMESTAMP {literal(instant.astimezone(UTC).replace(tzinfo=None).isoformat(' '))}")


def joined(fragments: list[Fragment], separator: str = ", ") -> Fragment:
    """Fragments with a separator between them."""
    return Fragment(separator.join(fragments))


def assignments(names: Iterable[str], source: str) -> Fragment:
    """`column = source.column` for UPDATE ... FROM, with commas between them."""
    return joined([Fragment(f"{identifier(name)} = {identifier(source, name)}") for name in names])


def statements_digest(*folders: str) -> str:
    """Changes with any statement in the given folders of include/sql/, and with nothing else."""
    paths = [path for folder in folders for path in sorted((STATEMENTS / folder).glob("*.sql"))]
    parts = [part for path in paths for part in (path.name.encode(), path.read_bytes())]
    # Every part ends with a NUL, the last one too.
    return digest(*parts, b"", length=16)
