"""Parameters that runs fitted, kept on S3 for later runs whose own data give none.

A run writes one object for its as_of if it fitted anything. The object is never updated. Which object serves a later
run depends on as_of and known_at alone, like everything else that a run reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import groupby

from crmbet.learning.records import FittedModels, ModelFit, ModelRun
from crmbet.storage.layout import Layout, attempt_name
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore
from crmbet.storage.verified import read_records, write_record

SERVED = ("deposit_days", "activity_days", "deposit_values")
"""The models, by their field in `ModelRun`."""


def write_fitted_models(
    store: ObjectStore, layout: Layout, models: ModelRun, *, known_at: datetime, run_id: str
) -> str | None:
    """Keep what a run fitted on its own data. Returns the key, or None if the run fitted nothing."""
    served = {name: getattr(models, name) for name in SERVED}
    fits = {name: model.fit for name, model in served.items() if model.fit and not model.problem}
    if not fits:
        return None
    key = f"{layout.fitted_models(models.as_of)}{attempt_name()}.json"
    fitted = FittedModels(as_of=models.as_of, known_at=known_at, run_id=run_id, fits=fits)
    write_record(store, key, fitted, indent=1)
    return key


def read_earlier_fits(
    store: ObjectStore, layout: Layout, *, as_of: date, known_at: datetime
) -> dict[str, ModelFit]:
    """The last good parameters of each model, by its field in `ModelRun`.

    They come from the newest as_of before this one. Among fits of one as_of, the newest known_at that is not after this
    one wins; among equal ones, the last key. Fits of this as_of never serve: a day must not depend on whether it ran
    before. Raises `DamagedObject`, since older parameters would give other scores.
    """
    latest = layout.fitted_models(as_of)
    keys = [entry.key for entry in store.list(layout.all_fitted_models)]
    # All dates have the same length, so the order of keys is the order of as_of.
    earlier = sorted((key for key in keys if key[: len(latest)] < latest), reverse=True)
    fits: dict[str, ModelFit] = {}
    for batch in _batches_of_whole_days(earlier):
        fitted = read_records(store, batch, FittedModels)
        known = [models for models in fitted.values() if models.known_at <= known_at]
        # The sort is stable, so the last key stays first among equal ones.
        for models in sorted(known, key=lambda models: (models.as_of, models.known_at), reverse=True):
            fits = models.fits | fits
        if fits.keys() >= set(SERVED):
            break
    return fits


def _batches_of_whole_days(keys: Iterable[str]) -> Iterator[list[str]]:
    """Keys to read at once: all of one as_of, and further as_ofs until there are PARALLEL_REQUESTS.

    A key does not tell its known_at, so the newest of an as_of is known only after all of that as_of are read.
    """
    batch: list[str] = []
    for _, of_one_day in groupby(keys, key=lambda key: key.rpartition("/")[0]):
        batch += of_one_day
        if len(batch) >= PARALLEL_REQUESTS:
            yield batch
            batch = []
    if batch:
        yield batch
