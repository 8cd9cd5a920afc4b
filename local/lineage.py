"""Where each feature comes from, derived from the SQL that computes it by SQLGlot: source, state, theme, feature.

Each statement of the pipeline is read once: which columns of which tables does each of its columns come from? Together
these answers lead from a feature to the columns of the sources. A column also comes from what chooses its rows: the
number of days on which a player has bet comes from the bets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope
from sqlglot.parsers.duckdb import DuckDBParser

from crmbet.contracts.catalogue import Origin
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.origins import ROWS
from crmbet.databases.statements import Fragment, identifier, joined, render, statement
from crmbet.features.sessions import derived_sessions
from crmbet.features.themes import DELIVERED, THEMES

if TYPE_CHECKING:
    from sqlglot.lineage import Node

    from crmbet.contracts.source import SourceContract

KEY, DAY = "user_id", "_day"
CLAUSES = ("where", "having", "qualify")
STATE, SESSIONS = "daily_state", "kept_sessions"
"""What is kept between runs. Themes read it as `state` and `sessions`."""
RECORDED = "recorded"
"""The sessions that the operator records."""
NAMES = {STATE: "state", SESSIONS: "sessions", RECORDED: "sessions"}
"""How readers know the tables whose names in the SQL are others, or belong to two tables."""
READ = {"state": STATE, "recent_state": STATE, "recent_messages": STATE, "sessions": SESSIONS}
"""Table that themes read to what it is read from."""
FITTED = {
    "activity": ("summarise_activity", ("churn_prob_30d", "churn_risk_score")),
    "deposit": ("summarise_deposits", ("p_alive", "expected_deposit_days_30d", "discounted_days")),
}
"""Kind of history to the statement that makes it, and to the scores that a fitted model gives it: NumPy does that."""
MODELS = {"deposit_values": "value_deposits", "clv_ranks": "rank_values", "models": "score_players"}
"""Tables from the scores of histories to those of players, and the statements that make them."""
HISTORY = "repeats, recency_days, observed_days"

Column = tuple[str, str]
"""Table and column."""


class UnknownColumn(Exception):
    """A statement reads a column that is nowhere. The message says which."""


class Dialect(DuckDB):
    """DuckDB with our macros, of which one has the name of a function."""

    class Parser(DuckDBParser):
        """The parser of DuckDB without the functions that our macros replace."""

        FUNCTIONS = {  # noqa: RUF012 - as SQLGlot declares it
            name: function for name, function in DuckDBParser.FUNCTIONS.items() if name != "QUARTER"
        }


@dataclass
class Graph:
    """Every column of every table, and the columns that it comes from directly."""

    schema: dict[str, dict[str, str]]
    """The columns of the tables so far. The types do not matter."""
    parents: dict[Column, frozenset[Column]] = field(default_factory=dict)

    def add(self, table: str, sql: str) -> None:
        """Add the table that a statement makes of the tables so far. A table may be made by several statements.

        Raises `UnknownColumn` if the statement reads a column that none of them has.
        """
        parsed = _simplified(sqlglot.parse_one(sql, dialect=Dialect, into=exp.Select))
        query = qualify(parsed, schema=dict(self.schema), dialect=Dialect, validate_qualify_columns=False)
        _depend_on_conditions(query)
        scope = build_scope(query)
        names = query.named_selects
        for name in names:
            node = lineage(
                name, query, self.schema, scope=scope, dialect=Dialect, copy=False, trim_selects=False
            )
            found = frozenset(self._leaves(table, node))
            self.parents[table, name] = self.parents.get((table, name), frozenset()) | found
        self.schema[table] = {**self.schema.get(table, {}), **dict.fromkeys(names, "TEXT")}

    def ancestors(self, column: Column) -> set[Column]:
        """All columns that a column comes from, those of the sources among them."""
        found: set[Column] = set()
        left = [column]
        while left:
            # Every join compares the key. It says whose row it is, and nothing else.
            new = {parent for parent in self.parents.get(left.pop(), ()) if parent[1] != KEY} - found
            found |= new
            left += new
        return found

    def _leaves(self, table: str, node: Node) -> Iterator[Column]:
        for each in node.walk():
            if each.downstream:
                continue
            if isinstance(each.expression, exp.Table) and not each.expression.name:
                # A series of numbers is in no table.
                continue
            if isinstance(each.expression, exp.Table):
                read = each.expression.name, exp.to_column(each.name).name
                if read[1] not in self.schema[read[0]]:
                    raise UnknownColumn(f"{table} reads {'.'.join(read)}, which there is not")
                yield read
            elif isinstance(each.expression, exp.Placeholder):
                raise UnknownColumn(f"{table} reads the column {each.name}, which no table has")


@cache
def pipeline() -> Graph:
    """The columns of all tables of a run, from the cleaned sources to the feature table."""
    sources = {
        table: dict.fromkeys([*contract.columns, DAY, ROWS], "TEXT") for table, contract in _cleaned().items()
    }
    # What cleaning adds about players and limits whose protection cannot be read.
    sources["players"]["protection_unreadable"] = "TEXT"
    quarantine = dict.fromkeys([KEY, "changed_at", "unreadable", ROWS], "TEXT")
    graph = Graph({**sources, "unreadable_exclusions": quarantine})
    for table, sql in _statements():
        graph.add(table, sql)
    return graph


def origins() -> dict[str, Origin]:
    """Where each feature of the contract comes from, in the contract's order."""
    graph = pipeline()
    sources = {*_cleaned()}
    found = {}
    for feature in load_table_contract().features:
        above = graph.ancestors(("user_features", feature))
        found[feature] = Origin(
            sources=_listed(above, sources),
            kept=_listed(above, {STATE, SESSIONS}),
            themes=tuple(name for name in (*THEMES, "models") if any(name == table for table, _ in above)),
        )
    return found


def _cleaned() -> dict[str, SourceContract]:
    """The sources by the names that they have in the SQL."""
    contracts = load_source_contracts()
    return {RECORDED if name == "sessions" else name: contract for name, contract in contracts.items()}


def _listed(columns: Iterable[Column], tables: set[str]) -> tuple[Column, ...]:
    """The columns of some tables, without the key and the day, which everything has."""
    return tuple(
        sorted(
            (NAMES.get(table, table), name)
            for table, name in columns
            if table in tables and name not in (KEY, DAY)
        )
    )


def _statements() -> Iterator[tuple[str, str]]:
    """All tables between the sources and the feature table, each after those that it reads, and what makes them."""
    yield STATE, statement("features/state/summarise_days")
    days = Fragment("NULL")
    yield "session_bets", render("features/sessions/assign_bets", days=days)
    session_bets = Fragment("session_bets")
    yield (
        SESSIONS,
        render("features/sessions/add_bets", recorded=Fragment(RECORDED), session_bets=session_bets),
    )
    yield SESSIONS, derived_sessions(days)
    for table, source in READ.items():
        yield table, render(f"features/themes/read_{table}", source=Fragment(source))
    yield (
        DELIVERED,
        render("features/themes/read_delivered", state=Fragment(STATE), players=Fragment("players")),
    )
    for kind, (name, scores) in FITTED.items():
        yield f"{kind}_histories", statement(f"learning/{name}")
        fitted = ", ".join(f"fitted({HISTORY}) AS {score}" for score in scores)
        yield f"{kind}_scores", f"SELECT {HISTORY}, {fitted} FROM {kind}_histories"
    for table, name in MODELS.items():
        yield table, statement(f"learning/{name}")
    for theme in THEMES:
        yield theme, statement(f"features/themes/{theme}")
    columns = joined([identifier(name) for name in load_table_contract().features])
    nothing = Fragment("nothing := 0")
    yield (
        "user_features",
        render("features/themes/assemble_features", columns=columns, hashed=nothing, within=Fragment("true")),
    )


def _simplified(query: exp.Query) -> exp.Query:
    """The statement without what SQLGlot does not follow: COLUMNS(*) within a function, and unnested structs."""
    projections: list[exp.Expr] = []
    for projection in query.selects:
        columns = projection.find(exp.Columns)
        unnested = projection.find(exp.Explode)
        values: dict[str, list[exp.Expr]] = {}
        for struct in unnested.find_all(exp.Struct) if unnested else ():
            for pair in struct.expressions:
                values.setdefault(pair.name, []).append(pair.expression)
        if columns is not None and isinstance(columns.this, exp.Star):
            projections.append(columns.this)
        elif values:
            projections += [exp.alias_(exp.func("one_of", *of), name) for name, of in values.items()]
        else:
            projections.append(projection)
    query.set("expressions", projections)
    return query


def _depend_on_conditions(query: exp.Query) -> None:
    """Let each column of each SELECT depend on the conditions that choose its rows, and the number of its rows, too.

    Each SELECT gets a column ROWS for that number. It comes from the conditions, or if there are none from the number
    of rows of what is read; `count(*)` counts it.
    """
    for select in query.find_all(exp.Select):
        clauses = [clause.this for name in CLAUSES if (clause := select.args.get(name)) is not None]
        joins = [
            (join, join.args["on"])
            for join in select.args.get("joins") or ()
            if join.args.get("on") is not None
        ]
        # An outer join chooses rows of the table that it joins, and of no other.
        always = [*clauses, *(on for join, on in joins if not join.side)]
        outer = {join.alias_or_name: on for join, on in joins if join.side}
        read = [source.alias_or_name for source in _sources(select)]
        chosen = [condition for condition in (*always, *outer.values()) if _says_more_than_the_key(condition)]
        rows = [exp.column(ROWS, table=name) for name in read]
        for counted in select.find_all(exp.Count):
            if isinstance(counted.this, exp.Star) and counted.parent_select is select:
                counted.replace(_given(chosen or rows))
        projections = [
            projection
            if projection.alias_or_name in (KEY, DAY)
            else exp.alias_(
                _given(
                    [
                        projection.unalias(),
                        *always,
                        *(on for name, on in outer.items() if _reads(projection, name)),
                    ]
                ),
                projection.alias_or_name,
            )
            for projection in select.selects
            if projection.alias_or_name != ROWS
        ]
        select.set("expressions", [*projections, exp.alias_(_given(chosen or rows), ROWS)])


def _sources(select: exp.Select) -> Iterator[exp.Expr]:
    """What a SELECT reads: tables and subqueries, by their aliases."""
    first = select.args.get("from_")
    if first is not None:
        yield first.this
    yield from (join.this for join in select.args.get("joins") or ())


def _given(parts: Iterable[exp.Expr]) -> exp.Expr:
    return exp.func("given", *(part.copy() for part in parts))


def _reads(projection: exp.Expr, table: str) -> bool:
    return any(column.table == table for column in projection.find_all(exp.Column))


def _says_more_than_the_key(condition: exp.Expr) -> bool:
    return any(column.name not in (KEY, DAY) for column in condition.find_all(exp.Column))
