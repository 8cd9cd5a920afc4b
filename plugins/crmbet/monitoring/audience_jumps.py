"""What a run has to tell of audiences that have grown or shrunk at once."""

from __future__ import annotations

from collections.abc import Iterable

from crmbet.audiences.records import Publication
from crmbet.monitoring.outcome import Failure
from crmbet.monitoring.segment_jumps import has_jumped
from crmbet.texts import ENGLISH, Texts


def describe_audience_jumps(
    publications: Iterable[Publication], max_share: float, say: Texts = ENGLISH
) -> Failure | None:
    """The audiences that have changed since they were handed over before. None if none has by more than `max_share`."""
    jumps = []
    for each in publications:
        before = each.members - each.entered + each.left
        if each.baseline is not None and has_jumped(before, each.members, max_share):
            jumps.append(
                say(
                    "{audience} from {then} to {now} players ({entered} entered, {left} left)",
                    audience=each.audience,
                    then=before,
                    now=each.members,
                    entered=each.entered,
                    left=each.left,
                )
            )
    if not jumps:
        return None
    return Failure(
        kind="AudienceJump",
        what=say("audiences have jumped since they were handed over before: {jumps}", jumps="; ".join(jumps)),
        why=say(
            "each has changed by more than {share} of its players (CRMBET_MAX_SEGMENT_JUMP_SHARE)",
            share=f"{max_share:.0%}",
        ),
        next_step=say(
            "hold campaigns to these audiences until it is clear whether players, data or the condition have changed"
        ),
    )
