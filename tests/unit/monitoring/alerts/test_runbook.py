"""Every alert has its page in the runbook, and every page its four questions."""

from __future__ import annotations

import re

import pytest

from crmbet import failures
from crmbet.failures import CrmbetError
from crmbet.monitoring.alerts.message import anchor_of
from crmbet.monitoring.page.documents import RUNBOOK, render_runbook

pytestmark = pytest.mark.unit

OTHER_KINDS = {
    "Killed",
    "Unforeseen",
    "DeadlineMissed",
    "Recovered",
    "ForeignObjects",
    "HandEdits",
    "SegmentJump",
    "AudienceJump",
    "CostJump",
    "StreamBehind",
    "StreamDiffers",
    "LoadAsked",
}


def kinds() -> set[str]:
    raised = {
        name
        for name, kind in vars(failures).items()
        if isinstance(kind, type) and issubclass(kind, CrmbetError) and kind is not CrmbetError
    }
    return raised | OTHER_KINDS


def test_every_kind_of_failure_has_a_page_and_no_page_is_left_over() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(), re.MULTILINE)

    assert {heading.lower().replace(" ", "-") for heading in headings} == {
        anchor_of(kind) for kind in kinds()
    }


def test_every_page_says_what_it_means_how_to_look_mend_and_rerun() -> None:
    for page in RUNBOOK.read_text().split("\n## ")[1:]:
        asked = re.findall(r"^\*\*(\w+)\*\*[:,]", page, re.MULTILINE)
        assert asked == (["Means"] if page.startswith("Recovered") else ["Means", "Look", "Mend", "Rerun"]), (
            page
        )


def test_the_page_that_the_ui_shows_has_the_anchors() -> None:
    shown = render_runbook()

    assert {anchor_of(kind) for kind in kinds()} <= set(re.findall(r'id="([\w-]+)"', shown))
    assert "<script" not in shown


@pytest.mark.parametrize(("kind", "anchor"), [("QualityBreach", "quality-breach"), ("Killed", "killed")])
def test_anchors(kind: str, anchor: str) -> None:
    assert anchor_of(kind) == anchor
