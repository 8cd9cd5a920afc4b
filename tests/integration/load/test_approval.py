"""What a load would change is counted without changing it, and a yes allows what was shown and no more."""

from __future__ import annotations

from typing import Any

import pytest

from crmbet.failures import LoadRefused
from crmbet.load.approval import Preview, preview_load
from crmbet.load.session import LoadSession
from tests.integration.load.small_loads import load_rows

pytestmark = pytest.mark.integration


def test_a_preview_counts_what_a_load_would_change(
    session: LoadSession, engine: Any, postgres_url: str, stage: Any, row: Any, write_parquet: Any
) -> None:
    load_rows(session, stage(session, [row(user, gone=False) for user in ("a", "b", "c")]))
    load_rows(session, stage(session, [row(user, day=21) for user in ("a", "b")]), gone_users="mark")
    files = write_parquet(
        [row("a", day=22), row("new", day=22), row("b", day=22, row_hash="h2", rfm_segment="lost")]
    )

    seen = preview_load(session, engine, postgres_url, files, 3)

    counts = (seen.rows, seen.live, seen.staged, seen.missing, seen.changed, seen.absent, seen.lost)
    assert counts == (3, 2, 3, 1, 1, 1, 0)
    assert seen.movements == [("rfm_segment", "prospect", "lost", 1)]
    assert seen.is_newest


def test_without_a_table_everybody_is_new(open_session: Any, engine: Any, postgres_url: str) -> None:
    assert preview_load(open_session(), engine, postgres_url, [], 7) == Preview(staged=7, missing=7)


def test_a_yes_allows_the_loss_that_was_shown_and_no_more(
    session: LoadSession, stage: Any, row: Any, query: Any
) -> None:
    load_rows(session, stage(session, [row(user) for user in "abcd"]))
    rest = [row(user, day=21) for user in "ab"]
    with pytest.raises(LoadRefused, match="would lose 2 of"):
        load_rows(session, stage(session, rest), gone_users="delete", max_shrink=0.1, agreed_loss=1)
    load_rows(session, stage(session, rest), gone_users="delete", max_shrink=0.1, agreed_loss=2)
    assert query(f"SELECT count(*) FROM {session.table}") == [(2,)]


def test_a_yes_to_replace_may_take_the_table_back(session: LoadSession, stage: Any, row: Any) -> None:
    load_rows(session, stage(session, [row("a", day=21)]))
    with pytest.raises(LoadRefused, match="back from"):
        load_rows(session, stage(session, [row("a")]), "replace")
    assert load_rows(session, stage(session, [row("a")]), "replace", agreed_replace=True).inserted == 1
