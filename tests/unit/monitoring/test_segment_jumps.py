"""When a segment has jumped, and what a message says of it."""

from __future__ import annotations

import pytest

from crmbet.load.records import Movement
from crmbet.monitoring.segment_jumps import describe_jumps

pytestmark = pytest.mark.unit


def flow(
    before: str | None, after: str | None, players: int, reason: str | None = None, days: int = 1
) -> Movement:
    return Movement(
        days=days,
        dimension="rfm_segment",
        from_segment=before,
        to_segment=after,
        players=players,
        reason=reason,
    )


def test_a_segment_that_doubles_is_told_with_its_largest_flows() -> None:
    told = describe_jumps(
        [
            flow("loyal", "loyal", 5_000),
            flow("at_risk", "at_risk", 1_000),
            flow("loyal", "at_risk", 900, "recency_score"),
            flow(None, "at_risk", 90),
            flow("lost", "at_risk", 10, "recency_score"),
        ],
        0.25,
    )

    assert told is not None
    assert told.kind == "SegmentJump"
    assert told.what == (
        "segments have jumped since yesterday: rfm_segment at_risk from 1,000 to 2,000 players "
        "(900 from loyal, mostly by recency_score, 90 from new players)"
    )


def test_a_segment_that_empties_is_told_with_where_they_went() -> None:
    told = describe_jumps([flow("loyal", "lost", 1_000, "recency_score"), flow("lost", "lost", 50_000)], 0.25)

    assert told is not None
    assert "loyal from 1,000 to 0 players (1,000 to lost, mostly by recency_score)" in told.what


@pytest.mark.parametrize(
    "flows",
    [
        [flow("loyal", "loyal", 1_000), flow("lost", "loyal", 200), flow("lost", "lost", 5_000)],
        [flow("loyal", "loyal", 4), flow("lost", "loyal", 6)],
        [flow("loyal", "lost", 1_000, days=30)],
        [],
    ],
    ids=["a fifth", "a few players, which is chance", "over a month", "nobody"],
)
def test_what_is_usual_is_not_told(flows: list[Movement]) -> None:
    assert describe_jumps(flows, 0.25) is None


def test_a_message_names_a_few_segments_and_counts_the_others() -> None:
    told = describe_jumps([flow(None, f"s{number}", 1_000 + number) for number in range(8)], 0.25)

    assert told is not None
    assert told.what.count(" players (") == 5
    assert told.what.endswith("; and 3 more")
