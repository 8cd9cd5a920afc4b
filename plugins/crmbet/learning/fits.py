"""Parameters that runs fitted, kept for later runs whose own data give none.

A run writes one object for its as_of, if it fitted anything; it is never updated. Which one serves depends on as_of and
known_at alone, like everything else a run sees.
"""

from __future__ import annotations

from datetime import date, datetime

from crmbet.learning.records import FittedModels, ModelFit, ModelRun
from crmbet.storage.layout import Layout, attempt_name
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore

SERVED = ("deposit_days", "activity_days", "deposit_values")
"""Models by their field in `ModelRun`."""


def write_fitted_models(
    store: ObjectStore, layout: Layout, models: ModelRun, *, known_at: datetime, run_id: str
) -> str | None:
    """Keep what a run fitted on its own data; returns the key, None if that is nothing."""
    served = {name: getattr(models, name) for name in SERVED}
    fits = {name: model.fit for name, model in served.items() if model.fit and not model.problem}
    if not fits:
        return None
    key = f"{layout.fitted_models(models.as_of)}{attempt_name()}.json"
    fitted = FittedModels(as_of=models.as_of, known_at=known_at, run_id=run_id, fits=fits)
    store.write(key, fitted.model_dump_json(indent=1).encode())
    return key


def read_earlier_fits(
    store: ObjectStore, layout: Layout, *, as_of: date, known_at: datetime
) -> dict[str, ModelFit]:
    """The last good parameters of each model, by its field in `ModelRun`.

    They are of the newest as_of before this one, of these the newest known_at up to this one, and of equal ones those
    with the last key. Those of the same as_of do not serve: a day must not depend on whether it ran before.
    """
    latest = layout.fitted_models(as_of)
    keys = [entry.key for entry in store.list(layout.all_fitted_models)]
    # An as_of is as long as any other, so that keys are in its order.
    keys = sorted((key for key in keys if key[: len(latest)] < latest), reverse=True)
    found: dict[str, ModelFit] = {}
    for start in range(0, len(keys), PARALLEL_REQUESTS):
        contents = store.read_all(keys[start : start + PARALLEL_REQUESTS])
        fitted = [FittedModels.model_validate_json(content) for content in contents.values() if content]
        known = [models for models in fitted if models.known_at <= known_at]
        # Stable: of equal ones the last key stays first.
        for models in sorted(known, key=lambda models: (models.as_of, models.known_at), reverse=True):
            found = models.fits | found
        if found.keys() >= set(SERVED):
            break
    return found
