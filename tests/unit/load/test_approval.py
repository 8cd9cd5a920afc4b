"""What a person is asked about, and what a yes allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from crmbet.load.approval import Preview, ask
from crmbet.load.load import LoadRules, Strategy
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.schedule import QUESTIONS
from crmbet.run.settings import Settings
from crmbet.run.window import Window

pytestmark = pytest.mark.unit

EARLIER, LATER = datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)


def preview(lost: int = 0, **changes: Any) -> Preview:
    usual: dict[str, Any] = {
        "rows": 100, "live": 100, "staged": 100 - lost, "absent": lost, "lost": lost, "oldest_staged": LATER,
        "newest_staged": LATER, "newest_loaded": EARLIER,
    }  # fmt: skip
    return Preview(**usual | changes)


def rules(strategy: Strategy = "merge", **others: Any) -> LoadRules:
    return LoadRules(strategy=strategy, gone_users="mark", max_shrink=0.1, **others)


@pytest.mark.parametrize(
    ("how", "seen", "breached", "asked", "lost"),
    [
        (rules(), preview(), [], [], 0),
        (rules(), preview(lost=10), [], [], 0),
        (rules(), preview(lost=11), [], ["loss"], 11),
        (rules(accept_loss=True), preview(lost=11), [], [], 0),
        (rules("replace"), preview(lost=3), [], ["replace"], 3),
        (rules("replace"), preview(newest_loaded=datetime(2026, 11, 21, tzinfo=UTC)), [], ["replace", "loss"], 0),
        (rules("append"), preview(lost=11), [], ["loss"], 11),
        (rules(), preview(lost=5), ["HIGH"], ["HIGH"], 0),
        (rules(), preview(lost=50), ["LOW", "CRITICAL"], ["loss", "CRITICAL", "LOW"], 50),
        (rules(), Preview(staged=5, missing=5), [], [], 0),
    ],
)  # fmt: skip
def test_who_asks_for_what(
    how: LoadRules, seen: Preview, breached: list[str], asked: list[str], lost: int
) -> None:
    found = ask(QUESTIONS, how, seen, breached)
    assert (found.asked, found.lost) == (asked, lost)
    assert found.agrees_to_replace == ("replace" in asked or "loss" in asked)
    assert ask((), how, seen, breached).asked == []


@pytest.mark.parametrize(
    ("setting", "param", "asked", "failing"),
    [
        ("", None, (), {"CRITICAL", "HIGH", "MEDIUM", "LOW"}),
        ("HIGH replace", None, ("replace", "HIGH"), {"CRITICAL", "MEDIUM", "LOW"}),
        ("HIGH replace", ["LOW"], ("LOW",), {"CRITICAL", "HIGH", "MEDIUM"}),
        ("HIGH replace", [], (), {"CRITICAL", "HIGH", "MEDIUM", "LOW"}),
        ("", ["LOW"], (), {"CRITICAL", "HIGH", "MEDIUM", "LOW"}),
    ],
)
def test_what_a_person_is_asked_about_does_not_fail_a_gate(
    setting: str, param: list[str] | None, asked: tuple[str, ...], failing: set[str]
) -> None:
    run = Run(
        run_id="r",
        window=Window(as_of_date=LATER.date(), as_of=LATER),
        known_at=LATER,
        params=RunParams.model_validate({"ask_on": param}),
        settings=Settings.of(lake_bucket="none", ask_on=setting),
    )
    assert run.questions == asked
    assert run.failing == failing
    # Nobody is asked where nothing is loaded, so there a failed check fails.
    only_judged = replace(run, params=run.params.model_copy(update={"validate_only": True}))
    assert only_judged.questions == ()
    assert only_judged.failing == {"CRITICAL", "HIGH", "MEDIUM", "LOW"}
