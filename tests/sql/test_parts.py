"""Sessions come out the same from any parts of their bets."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmbet.databases.statements import Fragment, identifier, render, statement
from crmbet.features.sessions import derived_sessions
from crmbet.stream.parts import sessions_with_near

pytestmark = pytest.mark.sql

DAYS = Fragment("DATE '2026-02-19', DATE '2026-02-20', DATE '2026-02-21'")
SHOWN = "user_id, started_at, ended_at, bets, stake_sum, settled_stake_sum, payout_sum, _day"
bets = st.lists(
    # Five-minute steps about midnight and about 06:00, and the part that a bet is in.
    st.tuples(
        st.sampled_from(["ana", "bia"]),
        st.integers(0, 24) | st.integers(70, 80),
        st.sampled_from(["NULL", "0", "7.5"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bets=bets)
def test_sessions_join_from_any_parts(
    engine: duckdb.DuckDBPyConnection, bets: list[tuple[str, int, str, int]]
) -> None:
    engine.execute("SET VARIABLE operator_zone = 'UTC'")
    rows = ", ".join(
        f"('{user}', TIMESTAMP '2026-02-19 23:00' + to_minutes({5 * step}), 'b{number}', 1.5, {payout}, {part})"
        for number, (user, step, payout, part) in enumerate(bets)
    )
    engine.execute(
        "CREATE OR REPLACE TEMPORARY TABLE every_bet AS SELECT *, stake AS balance_after "
        f"FROM (VALUES {rows}) AS bets(user_id, placed_at, bet_id, stake, payout, part)"
    )

    def sessions(where: str) -> list[tuple[object, ...]]:
        engine.execute(f"CREATE OR REPLACE TEMPORARY VIEW bets AS FROM every_bet WHERE {where}")
        return engine.execute(f"SELECT {SHOWN} FROM ({derived_sessions(DAYS)}) ORDER BY ALL").fetchall()

    whole = sessions("true")
    kept = identifier("kept_sessions")
    engine.execute(statement("stream/create_near_sessions"))
    engine.execute(
        "CREATE OR REPLACE TEMPORARY TABLE kept_sessions AS SELECT * EXCLUDE (place) FROM near_sessions"
    )
    for part in range(3):
        engine.execute(f"CREATE OR REPLACE TEMPORARY VIEW bets AS FROM every_bet WHERE part = {part}")
        engine.execute(render("stream/take_near_sessions", sessions=kept))
        engine.execute(render("stream/delete_near_sessions", sessions=kept))
        engine.execute(f"INSERT INTO kept_sessions {sessions_with_near(DAYS)}")

    assert engine.execute(f"SELECT {SHOWN} FROM kept_sessions ORDER BY ALL").fetchall() == whole
