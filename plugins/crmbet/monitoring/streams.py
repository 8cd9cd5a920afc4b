"""What a run of the stream has to tell: rows that were committed late, and live rows that differ from their rebuild."""

from __future__ import annotations

from crmbet.monitoring.outcome import Failure
from crmbet.stream.figures import StreamManifest
from crmbet.stream.parity import Parity
from crmbet.texts import ENGLISH, Texts

LIVE = "table user_features_live"


def describe_age(stream: StreamManifest, say: Texts = ENGLISH) -> Failure | None:
    """Rows that were too old when they were committed, as one message; None if there were none."""
    if not stream.was_old:
        return None
    oldest = max(stream.age_max or 0.0, stream.away_seconds)
    why = say("the stream had stood still, or more messages came than it can read")
    if stream.away_seconds > stream.max_age_seconds:
        why = say("Kafka did not answer for {seconds} s", seconds=f"{stream.away_seconds:.0f}")
    return Failure(
        kind="StreamBehind",
        what=say(
            "live rows are or were up to {seconds} s behind; {messages} messages were still to be read when the last "
            "batch was committed",
            seconds=f"{oldest:.0f}",
            messages=stream.lag,
        ),
        where=LIVE,
        why=say(
            "CRMBET_MAX_STREAM_AGE_SECONDS allows {seconds} s; {why}",
            seconds=f"{stream.max_age_seconds:g}",
            why=why,
        ),
        next_step=say(
            "look at the next run of user_features_stream: if its lag falls, it is catching up; nothing is lost"
        ),
    )


def describe_parity(parity: Parity, say: Texts = ENGLISH) -> Failure | None:
    """Live rows that differ from their rebuild, as one message; None if all are equal."""
    if parity.is_equal:
        return None
    columns = ", ".join(f"{name}: {rows}" for name, rows in sorted(parity.differing.items()))
    return Failure(
        kind="StreamDiffers",
        what=say(
            "some of {rows} live rows of {day} differ from what their messages say. Rows by column: {columns}",
            rows=parity.rows,
            day=parity.day,
            columns=columns,
        ),
        where=LIVE,
        why=say(
            "somebody has edited live rows, or the stream has a defect; the daily table does not use them"
        ),
        next_step=say(
            "compare the players that compare_stream.json of the run names; if nobody has edited them, report it as a "
            "defect"
        ),
    )
