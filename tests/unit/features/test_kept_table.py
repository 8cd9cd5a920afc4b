"""The digest by which a stored feature table is found again."""

from __future__ import annotations

import pytest

from crmbet.features.kept_table import models_settings
from crmbet.run.settings import Settings

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        (
            {},
            (
                "{'clv_margin': 0.1, 'clv_monthly_discount_rate': 0.01,"
                " 'min_model_cohort': 100, 'min_calibration_users': 500}"
            ),
        ),
        (
            {
                "CRMBET_CLV_MARGIN": "0.10",
                "CRMBET_MIN_MODEL_COHORT": "50",
                "CRMBET_CLV_MONTHLY_DISCOUNT_RATE": "0",
            },
            (
                "{'clv_margin': 0.1, 'clv_monthly_discount_rate': 0.0,"
                " 'min_model_cohort': 50, 'min_calibration_users': 500}"
            ),
        ),
    ],
)
def test_the_text_that_is_in_the_digests_of_stored_tables_stays_as_it_is(
    environ: dict[str, str], text: str
) -> None:
    assert repr(models_settings(Settings.from_environ({"CRMBET_LAKE_BUCKET": "lake"} | environ))) == text
