from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from crmbet.failures import BadParam
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window

pytestmark = pytest.mark.unit


def test_no_param_is_the_daily_run() -> None:
    assert RunParams.read({}) == RunParams(
        as_of=None,
        known_at=None,
        load_strategy="merge",
        accept_loss=False,
        validate_only=False,
        dry_run=False,
        full_refresh=False,
        source_deletions="stop",
        fail_on=frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW"}),
    )


def test_the_form_of_the_dag_is_read() -> None:
    params = RunParams.read(
        {"as_of": "2026-11-22", "load_strategy": "replace", "fail_on": ["CRITICAL", "HIGH"]}
    )

    assert params.as_of == "2026-11-22"
    assert params.load_strategy == "replace"
    assert params.fail_on == {"CRITICAL", "HIGH"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"asof": "2026-11-22"}, "unknown param 'asof'"),
        ({"load_strategy": "truncate"}, "load_strategy: "),
        ({"source_deletions": "ignore"}, "source_deletions: "),
        ({"fail_on": ["critical"]}, "fail_on: "),
        ({"validate_only": "perhaps"}, "validate_only: "),
        ({"as_of": 20261122}, "as_of: "),
        ({"thresholds": {"max_psi": "much"}}, "thresholds: "),
    ],
)
def test_a_bad_param_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(BadParam) as refused:
        RunParams.read(given)

    assert named in refused.value.what
    assert "known_at" in refused.value.next_step


def test_all_bad_params_are_named_at_once() -> None:
    with pytest.raises(BadParam, match=r"load_strategy: .*unknown param 'x'; unknown param 'y'"):
        RunParams.read({"load_strategy": 1, "x": 1, "y": 2})


def test_an_old_name_of_a_param_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    # Airflow adds the defaults of the form to a configuration.
    params = RunParams.read({"refreeze_thresholds": True, "refreeze_cut_offs": False})

    assert params == RunParams.read({"refreeze_thresholds": True}) == RunParams(refreeze_cut_offs=True)
    assert "use refreeze_cut_offs" in caplog.text
    assert not RunParams.read({"refreeze_thresholds": False}).refreeze_cut_offs
    with pytest.raises(BadParam, match="refreeze_cut_offs: "):
        RunParams.read({"refreeze_thresholds": "perhaps"})


def test_a_run_knows_its_folder_and_whether_it_rereads_the_past() -> None:
    run = Run(
        run_id="manual__1",
        window=Window(as_of_date=date(2026, 11, 22), as_of=datetime(2026, 11, 22, 3, tzinfo=UTC)),
        known_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
        params=RunParams(),
        settings=Settings(lake_bucket="lake", brand="acme"),
    )

    assert run.prefix == "crmbet/brand=acme/runs/run_id=manual__1/"
    assert run.as_of_date == date(2026, 11, 22)
    assert not run.rereads_the_past
    assert replace(run, params=RunParams(known_at="2026-11-22T03:00:00Z")).rereads_the_past
