"""What a run has to tell of segments that have grown or shrunk at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import sqrt

from crmbet.load.records import Movement
from crmbet.monitoring.outcome import Failure
from crmbet.texts import ENGLISH, Texts

Z = 4.753
"""The number of standard deviations that chance exceeds once in a million, as for drift."""
TOLD = 5
"""Segments that a message names."""
FLOWS = 2
"""Flows that are named for each of them."""


def describe_jumps(movements: Iterable[Movement], max_share: float, say: Texts = ENGLISH) -> Failure | None:
    """The segments that have changed since yesterday by more than `max_share` of their players, beyond chance.

    None if there is none. Counts of players of one segment vary by chance as the square root of their number.
    """
    daily = [movement for movement in movements if movement.days == 1]
    jumps = []
    for dimension in dict.fromkeys(movement.dimension for movement in daily):
        flows = [movement for movement in daily if movement.dimension == dimension]
        before, after = _sizes(flows)
        for segment in sorted(before.keys() | after.keys()):
            then, now = before[segment], after[segment]
            if has_jumped(then, now, max_share):
                jumps.append((abs(now - then), _describe(segment, (then, now), flows, say)))
    if not jumps:
        return None
    told = [text for _, text in sorted(jumps, key=lambda jump: -jump[0])[:TOLD]]
    if len(jumps) > TOLD:
        told.append(say("and {count} more", count=len(jumps) - TOLD))
    return Failure(
        kind="SegmentJump",
        what=say("segments have jumped since yesterday: {segments}", segments="; ".join(told)),
        why=say(
            "each has changed by more than {share} of its players (CRMBET_MAX_SEGMENT_JUMP_SHARE)",
            share=f"{max_share:.0%}",
        ),
        next_step=say(
            "look at the flows on the monitoring page, and at the view segment_movements for the players and "
            "reasons; hold campaigns to these segments until it is clear whether players or data have changed"
        ),
    )


def has_jumped(then: int, now: int, max_share: float) -> bool:
    """Whether a number of players has changed by more than `max_share` of what it was, and by more than chance."""
    return abs(now - then) > max_share * then + Z * sqrt(then + now)


def _sizes(flows: Iterable[Movement]) -> tuple[Counter[str], Counter[str]]:
    before, after = Counter[str](), Counter[str]()
    for flow in flows:
        if flow.from_segment is not None:
            before[flow.from_segment] += flow.players
        if flow.to_segment is not None:
            after[flow.to_segment] += flow.players
    return before, after


def _describe(segment: str, sizes: tuple[int, int], flows: list[Movement], say: Texts) -> str:
    then, now = sizes
    grown = now > then
    moved = [
        (flow.from_segment if grown else flow.to_segment, flow)
        for flow in flows
        if flow.from_segment != flow.to_segment
        and (flow.to_segment if grown else flow.from_segment) == segment
    ]
    largest = sorted(moved, key=lambda pair: -pair[1].players)[:FLOWS]
    absent = say("new players" if grown else "gone")
    named = []
    for other, flow in largest:
        count, where = _count(flow.players, say), other or absent
        named.append(
            (say("{count} from {segment}" if grown else "{count} to {segment}", count=count, segment=where))
            + (say(", mostly by {reason}", reason=flow.reason) if flow.reason else "")
        )
    return say(
        "{segment} from {then} to {now} players ({flows})",
        segment=f"{flows[0].dimension} {segment}",
        then=_count(then, say),
        now=_count(now, say),
        flows=", ".join(named),
    )


def _count(players: int, say: Texts) -> str:
    return say.figure(f"{players:,}")
