"""Keeps what a run learned from its players for later runs, once its table has been judged and loaded.

Bad data that fail a gate must not leave cut-offs or parameters by which later, good days would be judged.
"""

from __future__ import annotations

import logging

from crmbet import FEATURE_SET_VERSION
from crmbet.databases.work import Work
from crmbet.features.records import Learned
from crmbet.learning.cut_offs import FrozenCutOffs, freeze, read_cut_offs
from crmbet.learning.fits import write_fitted_models
from crmbet.storage.layout import attempt_name

log = logging.getLogger(__name__)


def keep_learned(work: Work, learned: Learned) -> None:
    """Keep the models' parameters; freeze the cut-offs if none are frozen yet or a person wants new ones."""
    run, store = work.run, work.store
    deliberate = run.params.refreeze_cut_offs
    _, frozen = store.at_once(
        lambda: write_fitted_models(
            store, run.layout, learned.models, known_at=run.known_at, run_id=run.run_id
        ),
        lambda: read_cut_offs(
            store, run.layout, FEATURE_SET_VERSION, as_of_date=run.as_of_date, known_at=run.known_at
        ),
    )
    if learned.cut_offs and (deliberate or frozen is None):
        new = FrozenCutOffs(
            feature_set_version=FEATURE_SET_VERSION,
            as_of=run.as_of_date,
            frozen_at=run.known_at,
            deliberate=deliberate,
            cut_offs=learned.cut_offs,
        )
        key = freeze(store, run.layout, new, attempt_name())
        log.info("cut-offs of %d markers are frozen in %s", len(new.cut_offs), store.url(key))
