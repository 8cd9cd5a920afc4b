"""Feeds are captured side by side, and each is what it would be by itself."""

from __future__ import annotations

from typing import Any

import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.work import Work
from crmbet.extract.lake import capture_feed, capture_feeds
from crmbet.failures import SourceMissing
from tests.integration.extract.deliveries import csv_line, csv_text

pytestmark = pytest.mark.integration

FEEDS = [contract for contract in load_source_contracts().values() if contract.kind == "lake"]


def test_feeds_are_captured_as_each_alone(put: Any, engine: Any, store: Any, make_run: Any) -> None:
    put("bets.csv", csv_text(csv_line(1), csv_line(2)))
    put("limits.csv", "user_id,changed_at,kind\nu1,2026-08-10T12:00:00Z,deposit\n", feed="limits")
    run = make_run()

    together = capture_feeds(Work(run=run, store=store, connection=engine), FEEDS)

    alone = {
        feed.name: capture_feed(Work(run=make_run(), store=store, connection=engine), feed) for feed in FEEDS
    }
    assert [*together] == [feed.name for feed in FEEDS]
    assert {name for name, captures in together.items() if captures} == {"bets", "limits"}
    for name, captures in together.items():
        again = alone[name]
        assert (captures and captures.captures) == (again and again.captures)


def test_a_feed_that_fails_keeps_none_of_the_others_from_being_captured(
    put: Any, engine: Any, store: Any, make_run: Any
) -> None:
    put("limits.csv", "user_id,changed_at,kind\nu1,2026-08-10T12:00:00Z,deposit\n", feed="limits")
    run = make_run()

    with pytest.raises(SourceMissing, match="the feed bets has no object"):
        capture_feeds(Work(run=run, store=store, connection=engine), FEEDS)

    assert [entry.key for entry in store.list(run.layout.captures("limits"))]
