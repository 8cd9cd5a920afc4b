"""The pipeline as a function: a process of Airflow's own, and the figures of its run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest

from crmbet.pipeline import PipelineConfig, run_pipeline
from local.simulator import World, deliver

pytestmark = [pytest.mark.integration, pytest.mark.full]

AS_OF = date(2024, 4, 10)
WORLD = World(seed=11, players=120, start_day=date(2024, 3, 1), end_day=AS_OF)


def test_it_returns_the_figures_of_the_run(open_operator: Callable[..., Any]) -> None:
    operator = open_operator()
    delivery = deliver(WORLD, bucket=operator.bucket, source_url=operator.source_url)
    config = partial(
        PipelineConfig,
        s3_bucket=operator.bucket,
        db_url=operator.source_url,
        target_url=operator.target_url,
        memory_limit="1GB",
    )

    metrics = run_pipeline(config(), AS_OF)

    assert metrics.failure is None
    assert metrics.state == "success"
    [(rows,)] = operator.query("SELECT count(*) FROM ml_features.user_features")
    assert metrics.as_of_date == AS_OF
    assert metrics.records_extracted is not None
    assert metrics.records_extracted > 0.9 * sum(delivery.rows.values())
    assert metrics.records_loaded == metrics.records_transformed == rows > 30
    assert metrics.success_rate == rows / metrics.records_extracted
    assert metrics.data_quality_score == 1.0
    assert 0 < metrics.duration_seconds < 600

    failed = run_pipeline(config(min_rows_per_day=1_000_000), AS_OF)

    assert (failed.state, failed.failed_task) == ("failed", "validate_raw")
    assert failed.records_loaded is None
