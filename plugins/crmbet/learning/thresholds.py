"""Thresholds of the responsible-gambling markers: taken from the cohort once, and then kept.

A threshold that moved with the cohort would let a player look better because others got worse. So the first run of a
feature_set_version whose table is loaded freezes them, and later runs use what is frozen until somebody freezes anew
(the param `refreeze_thresholds`). A run uses nothing that was frozen for a later as_of or after its known_at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

from pydantic import BaseModel, ConfigDict

from crmbet.storage.layout import Layout
from crmbet.storage.object_store import ObjectStore

_AS_OF = re.compile(r"/as_of=(\d{4}-\d\d-\d\d)/")


class FrozenThresholds(BaseModel):
    """One act of freezing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature_set_version: str
    as_of: date
    frozen_at: datetime
    """The known_at of the run that did it."""
    deliberate: bool
    """Whether it was asked for, and so stands before what was frozen earlier."""
    thresholds: dict[str, float]
    """Marker to the 95th percentile of its cohort; a marker whose cohort was too small is not among them."""


def read_thresholds(
    store: ObjectStore, layout: Layout, version: str, *, as_of_date: date, known_at: datetime
) -> FrozenThresholds | None:
    """What a run has to use: the act that stands, of those known at known_at for its as_of or an earlier one."""
    folder = layout.thresholds(version)
    keys = [entry.key for entry in store.list(folder) if _as_of(entry.key) <= as_of_date]
    found = (
        FrozenThresholds.model_validate_json(content)
        for content in store.read_all(keys).values()
        if content is not None
    )
    return choose(act for act in found if act.frozen_at <= known_at)


def choose(frozen: Iterable[FrozenThresholds]) -> FrozenThresholds | None:
    """The act that stands: the last deliberate one, else the first of all; ties go to the content."""

    def order(act: FrozenThresholds) -> tuple[date, datetime, str]:
        return act.as_of, act.frozen_at, act.model_dump_json()

    acts = sorted(frozen, key=order)
    deliberate = [act for act in acts if act.deliberate]
    if deliberate:
        return deliberate[-1]
    return acts[0] if acts else None


def freeze(store: ObjectStore, layout: Layout, act: FrozenThresholds, attempt: str) -> str:
    """Keep thresholds for later runs, in one PUT; returns the key."""
    key = f"{layout.thresholds(act.feature_set_version)}as_of={act.as_of.isoformat()}/{attempt}.json"
    store.write(key, act.model_dump_json(indent=1).encode())
    return key


def _as_of(key: str) -> date:
    found = _AS_OF.search(key)
    return date.fromisoformat(found.group(1)) if found else date.max
