"""Where features come from: what the SQL says, and that the contract says the same."""

from __future__ import annotations

import pytest

from crmbet.contracts.catalogue import SOURCES
from crmbet.contracts.files import load_table_contract
from crmbet.contracts.origins import ROWS
from crmbet.quality.stages import SOURCE_LETTERS
from local.lineage import Graph, UnknownColumn, origins

pytestmark = pytest.mark.unit

MORE = {
    "frequencia_jogo": {"bets"},  # its days begin with the first fact of any kind
    "marketing_allowed": {"bets", "sessions", "transactions"},  # rg_risk_band may take it away
}
"""What a feature comes from beside the sources of its contract, without which it has a value all the same."""


def test_the_contract_names_the_sources_that_the_sql_reads() -> None:
    said = {
        name: {SOURCE_LETTERS[letter.strip()] for letter in column.sources.split(",") if letter.strip()}
        for name, column in load_table_contract().features.items()
    }

    found = {name: {table for table, _ in origin.sources} for name, origin in origins().items()}

    assert found == {name: sources | MORE.get(name, set()) for name, sources in said.items()}
    assert SOURCES.keys() == SOURCE_LETTERS.keys()


def test_a_feature_leads_through_theme_and_state_to_the_columns_of_its_source() -> None:
    found = origins()

    money = found["deposit_sum_30d"]
    assert {table for table, _ in money.sources} == {"transactions"}
    assert {name for _, name in money.sources} == {"amount", "rows", "status", "transaction_type"}
    assert ("state", "deposit_sum") in money.kept
    assert money.themes == ("money",)
    session = found["session_minutes_max_30d"]
    assert session.kept == (("sessions", "ended_at"), ("sessions", "started_at"))
    assert ("sessions", "ended_at") in session.sources
    assert found["bets_count_30d"].sources == (("bets", ROWS),)
    assert found["rg_risk_band"].themes[-1] == "markers"
    assert "models" in found["churn_risk_band"].themes


def test_every_feature_comes_from_something_and_ends_in_a_theme() -> None:
    for name, origin in origins().items():
        assert origin.sources, name
        assert origin.themes, name


def graph(**statements: str) -> Graph:
    made = Graph(
        {
            "bets": dict.fromkeys(["user_id", "_day", "stake", "status", ROWS], "TEXT"),
            "limits": dict.fromkeys(["user_id", "kind", ROWS], "TEXT"),
        }
    )
    for table, sql in statements.items():
        made.add(table, sql)
    return made


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT user_id, sum(stake) AS f FROM bets GROUP BY user_id", {("bets", "stake")}),
        ("SELECT user_id, count(*) AS f FROM bets GROUP BY user_id", {("bets", ROWS)}),
        (
            "SELECT user_id, count(*) AS f FROM bets WHERE status = 'won' GROUP BY user_id",
            {("bets", "status")},
        ),
        (
            "SELECT user_id, count(*) FILTER (stake > 1) AS f FROM bets GROUP BY 1",
            {("bets", "stake"), ("bets", ROWS)},
        ),
        ("SELECT user_id, b.stake AS f FROM bets AS b JOIN limits USING (user_id)", {("bets", "stake")}),
        (
            "SELECT b.user_id, b.stake AS f FROM bets AS b JOIN limits ON kind = b.status",
            {("bets", "stake"), ("bets", "status"), ("limits", "kind")},
        ),
        (
            "SELECT b.user_id, b.stake AS f FROM bets AS b LEFT JOIN limits ON kind = b.status",
            {("bets", "stake")},
        ),
        (
            "WITH w AS (SELECT * FROM bets WHERE stake > 1) SELECT user_id, count(*) AS f FROM w GROUP BY user_id",
            {("bets", "stake")},
        ),
        ("SELECT user_id, quarter(stake, 4) AS f FROM bets", {("bets", "stake")}),
        (
            "SELECT user_id, coalesce(COLUMNS(* EXCLUDE (user_id, status)), 0), stake AS f FROM bets",
            {("bets", "stake")},
        ),
        (
            "SELECT user_id, unnest([{'n': 'a', 'f': stake}, {'n': 'b', 'f': status}], recursive := true) FROM bets",
            {("bets", "stake"), ("bets", "status")},
        ),
    ],
)
def test_a_column_comes_from_what_its_value_and_its_rows_depend_on(
    sql: str, expected: set[tuple[str, str]]
) -> None:
    assert graph(made=sql).ancestors(("made", "f")) == expected


def test_statements_follow_each_other() -> None:
    made = graph(
        state="SELECT user_id, sum(stake) AS stakes FROM bets GROUP BY user_id",
        theme="SELECT user_id, stakes * 2 AS f FROM state",
    )

    assert made.ancestors(("theme", "f")) == {("state", "stakes"), ("bets", "stake")}


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT user_id, nothing AS f FROM bets", "theme reads bets.nothing"),
        ("SELECT a.user_id, nothing AS f FROM bets AS a, limits AS b", "theme reads the column .*nothing"),
    ],
)
def test_a_column_that_no_table_has_is_a_mistake(sql: str, named: str) -> None:
    with pytest.raises(UnknownColumn, match=named):
        graph(theme=sql)
