"""What a run learned from its players, kept for later runs: once its table has been judged and loaded, not before.

Bad data that fail a gate must not leave thresholds or parameters that good days are then held against.
"""

from __future__ import annotations

import logging

from crmbet import FEATURE_SET_VERSION
from crmbet.features.records import Learned
from crmbet.learning.fits import write_fitted_models
from crmbet.learning.thresholds import FrozenThresholds, freeze, read_thresholds
from crmbet.run.run import Run
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


def keep_learned(store: ObjectStore, run: Run, learned: Learned) -> None:
    """Keep the models' parameters, and the thresholds if none are frozen yet or the run is asked to freeze anew."""
    write_fitted_models(store, run.layout, learned.models, known_at=run.known_at, run_id=run.run_id)
    deliberate = run.params.refreeze_thresholds
    frozen = read_thresholds(
        store, run.layout, FEATURE_SET_VERSION, as_of_date=run.as_of_date, known_at=run.known_at
    )
    if learned.thresholds and (deliberate or frozen is None):
        act = FrozenThresholds(
            feature_set_version=FEATURE_SET_VERSION,
            as_of=run.as_of_date,
            frozen_at=run.known_at,
            deliberate=deliberate,
            thresholds=learned.thresholds,
        )
        key = freeze(store, run.layout, act, attempt_name())
        log.info("thresholds of %d markers are frozen in %s", len(act.thresholds), store.url(key))
