"""The condition of an audience: a small part of SQL over named columns, parsed by the engine and written again by us.

What a file says never reaches a database. The engine's parser turns it into a tree, and only what is listed here is
written out of that tree, in PostgreSQL's SQL. So there is no subquery, no function that reads files or waits, and no
column that the caller has not named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import Fragment, joined, literal, render

if TYPE_CHECKING:
    import duckdb

COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_DISTINCT_FROM": "IS DISTINCT FROM",
    "COMPARE_NOT_DISTINCT_FROM": "IS NOT DISTINCT FROM",
}
CONJUNCTIONS = {"CONJUNCTION_AND": " AND ", "CONJUNCTION_OR": " OR "}
INFIX = {"+": "+", "-": "-", "*": "*", "~~": "LIKE", "!~~": "NOT LIKE"}
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
ALLOWED = (
    "columns, numbers, texts, true and false, comparisons, AND, OR, NOT, IN (...), BETWEEN, IS NULL, LIKE, + - *, "
    "coalesce(...) and list_contains(column, value)"
)


@dataclass(frozen=True)
class Condition:
    """A condition that may be put into a statement of PostgreSQL."""

    sql: Fragment
    columns: frozenset[str]
    """The columns that it names."""


def parse_condition(text: str, columns: Mapping[str, Fragment]) -> Condition:
    """Parse a condition over some columns, by name, each as a statement of PostgreSQL names it.

    Raises `ValueError`, which says what is not allowed.
    """
    import duckdb

    with duckdb.connect() as engine:
        plain, tree = (_parse(engine, condition) for condition in ("true", text))
    if tree["error"]:
        raise ValueError(f"it is no condition: {tree['error_message']}")
    where, rest = _split(tree)
    # Whatever stands behind the condition, such as GROUP BY, or another statement, would change the rest.
    if where is None or rest != _split(plain)[1]:
        raise ValueError(f"it is more than a condition; use {ALLOWED}")
    writer = _Writer(columns)
    return Condition(writer.write(where), frozenset(writer.used))


def _parse(engine: duckdb.DuckDBPyConnection, condition: str) -> dict[str, Any]:
    # A literal: a bound parameter makes the engine's client import pandas. The line ends, since a comment may.
    text = render("audiences/parse_condition", text=literal(f"SELECT 1 WHERE {condition}\n"))
    [(tree,)] = engine.execute(text).fetchall()
    parsed: dict[str, Any] = json.loads(tree)
    return parsed


def _split(tree: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The condition of a statement, and all the rest of it but where its parts stood in the text."""
    if len(tree["statements"]) != 1:
        return None, ""
    where = tree["statements"][0]["node"].pop("where_clause", None)
    return where, json.dumps(_without_places(tree), sort_keys=True)


def _without_places(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _without_places(value) for name, value in part.items() if name != "query_location"}
    return [_without_places(each) for each in part] if isinstance(part, list) else part


@dataclass
class _Writer:
    """Writes a tree of the engine's parser in PostgreSQL's SQL, with brackets around everything."""

    columns: Mapping[str, Fragment]
    used: set[str] = field(default_factory=set)

    def write(self, part: dict[str, Any]) -> Fragment:
        writers: dict[str, Callable[[dict[str, Any]], Fragment]] = {
            "COLUMN_REF": self._column,
            "CONSTANT": self._constant,
            "COMPARISON": self._comparison,
            "CONJUNCTION": self._conjunction,
            "OPERATOR": self._operator,
            "BETWEEN": self._between,
            "FUNCTION": self._function,
            "CAST": self._cast,
        }
        write = writers.get(part["class"])
        if write is None:
            raise ValueError(f"{part['class'].lower()} is not allowed; use {ALLOWED}")
        return write(part)

    def _column(self, part: dict[str, Any]) -> Fragment:
        name = ".".join(part["column_names"])
        if name not in self.columns:
            raise ValueError(f"there is no column {name}")
        self.used.add(name)
        return self.columns[name]

    def _constant(self, part: dict[str, Any]) -> Fragment:
        value, kind = part["value"].get("value"), part["value"]["type"]["id"]
        if part["value"]["is_null"]:
            return Fragment("NULL")
        if kind == "VARCHAR" and isinstance(value, str):
            return literal(value)
        if kind == "BOOLEAN":
            return Fragment("true" if value else "false")
        if kind in INTEGERS and isinstance(value, int):
            return Fragment(f"({value})")
        if kind == "DOUBLE" and isinstance(value, float):
            return Fragment(f"({value!r}::double precision)")
        if kind == "DECIMAL" and isinstance(value, int):
            scale = int(part["value"]["type"]["type_info"]["scale"])
            return Fragment(f"({value}e-{scale})")
        raise ValueError(f"a value of type {kind} is not allowed; use {ALLOWED}")

    def _comparison(self, part: dict[str, Any]) -> Fragment:
        left, right = self.write(part["left"]), self.write(part["right"])
        return Fragment(f"({left} {COMPARISONS[part['type']]} {right})")

    def _conjunction(self, part: dict[str, Any]) -> Fragment:
        return Fragment(f"({joined(self._children(part), CONJUNCTIONS[part['type']])})")

    def _operator(self, part: dict[str, Any]) -> Fragment:
        first, *others = self._children(part)
        match part["type"]:
            case "OPERATOR_NOT":
                return Fragment(f"(NOT {first})")
            case "OPERATOR_IS_NULL":
                return Fragment(f"({first} IS NULL)")
            case "OPERATOR_IS_NOT_NULL":
                return Fragment(f"({first} IS NOT NULL)")
            case "COMPARE_IN":
                return Fragment(f"({first} IN ({joined(others)}))")
            case "COMPARE_NOT_IN":
                return Fragment(f"({first} NOT IN ({joined(others)}))")
            case "OPERATOR_COALESCE":
                return Fragment(f"coalesce({joined([first, *others])})")
        raise ValueError(f"{part['type'].lower()} is not allowed; use {ALLOWED}")

    def _between(self, part: dict[str, Any]) -> Fragment:
        middle, low, high = (self.write(part[name]) for name in ("input", "lower", "upper"))
        return Fragment(f"({middle} BETWEEN {low} AND {high})")

    def _function(self, part: dict[str, Any]) -> Fragment:
        name, children = part["function_name"], self._children(part)
        if part["is_operator"] and name in INFIX and len(children) == 2:
            return Fragment(f"({children[0]} {INFIX[name]} {children[1]})")
        if part["is_operator"] and name == "-" and len(children) == 1:
            return Fragment(f"(- {children[0]})")
        is_plain = not part["schema"] and not part["catalog"] and not part["distinct"]
        if name == "list_contains" and is_plain and len(children) == 2:
            return Fragment(f"({children[1]} = ANY ({children[0]}))")
        raise ValueError(f"{name} is not allowed; use {ALLOWED}")

    def _cast(self, part: dict[str, Any]) -> Fragment:
        """What the parser makes of true, of false and of IS TRUE. A cast that a person wrote is refused."""
        child = part["child"]
        is_boolean = part["cast_type"]["id"] == "BOOLEAN" and not part["try_cast"]
        if is_boolean and child["class"] == "CONSTANT" and child["value"].get("value") in ("t", "f"):
            return Fragment("true" if child["value"]["value"] == "t" else "false")
        if is_boolean and child["class"] == "COLUMN_REF":
            return self._column(child)
        raise ValueError(f"a cast is not allowed; use {ALLOWED}")

    def _children(self, part: dict[str, Any]) -> list[Fragment]:
        return [self.write(child) for child in part["children"]]
