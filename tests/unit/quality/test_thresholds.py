from __future__ import annotations

import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.quality.thresholds import thresholds_of_settings
from crmbet.run.settings import OLD_NAMES, Settings

pytestmark = pytest.mark.unit


def test_suites_of_a_deployment_may_still_use_the_old_names() -> None:
    settings = Settings.of(lake_bucket="lake", max_outlier_share=0.07, max_data_age_hours=9)

    thresholds = thresholds_of_settings(settings, load_table_contract())

    assert thresholds["max_outlier_percentage"] == thresholds["max_outlier_share"] == 0.07
    assert thresholds["min_data_freshness_hours"] == 9
    assert thresholds.keys() >= OLD_NAMES.keys()
