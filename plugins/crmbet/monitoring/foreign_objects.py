"""What a run has to tell of objects that it set aside because they are like no delivery of their feed."""

from __future__ import annotations

from collections.abc import Mapping

from crmbet.extract.records import SourceCaptures
from crmbet.monitoring.outcome import Failure
from crmbet.texts import ENGLISH, Texts

NAMED_OBJECTS = 5


def describe_foreign(sources: Mapping[str, SourceCaptures], say: Texts = ENGLISH) -> Failure | None:
    """The foreign objects of all feeds, as one message; None if there are none."""
    by_feed = {name: captures.foreign for name, captures in sources.items() if captures.foreign}
    found = [entry for foreign in by_feed.values() for entry in foreign]
    if not found:
        return None
    feeds = ", ".join(by_feed)
    contracts = ", ".join(f"include/contracts/sources/{name}.yaml" for name in by_feed)
    counted = (
        say("one object was set aside: it cannot be read and is like no delivery of its feed")
        if len(found) == 1
        else say(
            "{objects} objects were set aside: they cannot be read and are like no delivery of their feeds",
            objects=len(found),
        )
    )
    named = ", ".join(entry.chunk for entry in found[:NAMED_OBJECTS])
    if len(found) > NAMED_OBJECTS:
        more = len(found) - NAMED_OBJECTS
        named = say("{named} and {more} more", named=named, more=more)
    return Failure(
        kind="ForeignObjects",
        what=say("{counted} ({feeds}). The run went on without", counted=counted, feeds=feeds),
        where=named,
        why=found[0].why,
        next_step=say(
            "if this is a delivery, map its columns in {contracts}, or have it delivered again as what its name "
            "says. If it is none, remove it from the folder. Until then every run sets it aside and says so",
            contracts=contracts,
        ),
    )
