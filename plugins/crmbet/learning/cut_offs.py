"""Cut-offs of the responsible-gambling markers: taken from the cohort once, and then kept.

If a cut-off moved with the cohort, a player would look better because others got worse. So the first run of a
feature_set_version whose table is loaded freezes them. Later runs use the frozen ones until somebody freezes new ones
on purpose (the param `refreeze_cut_offs`). A run uses nothing that was frozen for a later as_of or after its known_at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, Field

from crmbet.storage.layout import Layout
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import read_records, write_record

_AS_OF = re.compile(r"/as_of=(\d{4}-\d\d-\d\d)/")


class FrozenCutOffs(BaseModel):
    """The cut-offs that one run froze: the content of an object below thresholds/."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    feature_set_version: str
    as_of: date
    frozen_at: datetime
    """known_at of the run that froze them."""
    deliberate: bool
    """Whether a person wanted them: they then win over those that were frozen earlier."""
    cut_offs: dict[str, float] = Field(alias="thresholds")
    """Marker to the 95th percentile of its cohort. A marker whose cohort was too small has none.

    The store of earlier versions has them under the alias.
    """


def read_cut_offs(
    store: ObjectStore, layout: Layout, version: str, *, as_of_date: date, known_at: datetime
) -> FrozenCutOffs | None:
    """The cut-offs that a run uses: frozen for its as_of or an earlier one, and known at its known_at.

    Raises `DamagedObject`, since other cut-offs would judge players otherwise.
    """
    folder = layout.cut_offs(version)
    keys = [entry.key for entry in store.list(folder) if _as_of(entry.key) <= as_of_date]
    frozen = read_records(store, keys, FrozenCutOffs).values()
    return choose(each for each in frozen if each.frozen_at <= known_at)


def choose(frozen: Iterable[FrozenCutOffs]) -> FrozenCutOffs | None:
    """Those that count: the deliberate ones of the last as_of, else those that were frozen first.

    So a backfill that freezes cut-offs for an earlier day does not change those of days that were judged before. Equal
    instants are ordered by content.
    """
    candidates = sorted(frozen, key=lambda each: each.model_dump_json())
    deliberate = [each for each in candidates if each.deliberate]
    if deliberate:
        return max(deliberate, key=lambda each: (each.as_of, each.frozen_at))
    return min(candidates, key=lambda each: (each.frozen_at, each.as_of), default=None)


def freeze(store: ObjectStore, layout: Layout, frozen: FrozenCutOffs, attempt: str) -> str:
    """Keep cut-offs for later runs, in one PUT; returns the key."""
    key = f"{layout.cut_offs(frozen.feature_set_version)}as_of={frozen.as_of.isoformat()}/{attempt}.json"
    write_record(store, key, frozen, indent=1)
    return key


def _as_of(key: str) -> date:
    named = _AS_OF.search(key)
    return date.fromisoformat(named.group(1)) if named else date.max
