"""The commands that the runbook and messages tell the person on call to type, typed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crmbet.load.load import _advise_acceptance, rules_of
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window
from local.workspace import PROJECT

pytestmark = pytest.mark.integration

RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
DAG = "user_features_daily"
DAY = datetime(2026, 11, 20, 3, tzinfo=UTC)
"""Of the run that the runbook's example is about."""
CONF = {"load_strategy": "replace"}


def commands(about: str) -> list[list[str]]:
    """The commands of the runbook's blocks of shell, split as a shell does, that begin with some words."""
    blocks = re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(about)]


def states() -> dict[str, dict[str, str | None]]:
    """Run to task to state."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(DagRun).filter(DagRun.dag_id == DAG).all()
        return {
            run.run_id: {
                ti.task_id: ti.state and str(ti.state) for ti in run.get_task_instances(session=session)
            }
            for run in found
        }


def type_in(command: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(command[1:])
    arguments.func(arguments)


@pytest.fixture
def failed_runs(airflow_database: None) -> Iterator[None]:
    """Runs of three days, all of which failed at load_merge, in Airflow's own database."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    forget_runs()
    with create_session() as session:
        manager: Any = DagBundlesManager()  # type: ignore[no-untyped-call]
        manager.sync_bundles_to_db(session=session)
        session.commit()
        for bundle in manager.get_all_dag_bundles():
            bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
            sync_bag_to_db(bag, bundle.name, bundle.version, session=session)
        session.commit()
        dag: Any = SerializedDagModel.get_dag(DAG, session=session)
        for days in (-1, 0, 1):
            day = DAY + timedelta(days=days)
            run = dag.create_dagrun(
                run_id=f"failed_{day.date()}", logical_date=day, data_interval=(day, day + timedelta(days=1)),
                run_after=day, conf=CONF, run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.FAILED, session=session,
            )  # fmt: skip
            for ti in run.get_task_instances(session=session):
                done = ti.task_id != "load_merge"
                ti.state = TaskInstanceState.SUCCESS if done else TaskInstanceState.FAILED
        session.commit()
    yield
    forget_runs()


def forget_runs() -> None:
    """Delete the runs of this file, and those that other tests of this process have left."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        for run in session.query(DagRun).filter(DagRun.dag_id == DAG).all():
            session.delete(run)


def test_the_command_clears_the_failed_task_of_the_named_day_alone(failed_runs: None) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    [command] = commands("airflow tasks clear")

    type_in(command)

    cleared = {
        run: sorted(task for task, state in tasks.items() if state is None) for run, tasks in states().items()
    }
    assert cleared == {
        "failed_2026-11-19": [],
        "failed_2026-11-20": ["load_merge", "record_run"],
        "failed_2026-11-21": [],
    }
    with create_session() as session:
        kept = {run.run_id: run.conf for run in session.query(DagRun).filter(DagRun.dag_id == DAG)}
    assert set(map(json.dumps, kept.values())) == {json.dumps(CONF)}, "a cleared run keeps its params"


def test_the_command_starts_a_run_with_the_param(failed_runs: None) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    [command] = commands("airflow dags trigger")
    before = states().keys()

    type_in(command)

    [started] = states().keys() - before
    with create_session() as session:
        run = session.query(DagRun).filter(DagRun.run_id == started).one()
        assert RunParams.read(run.conf or {}).accept_loss
        assert RunParams.read(run.conf or {}).as_of == "2026-11-20"


ALL_PARAMS: dict[str, Any] = {
    "known_at": "2026-11-21T09:00:00Z",
    "load_strategy": "replace",
    "full_refresh": True,
    "verify_all": True,
    "refreeze_cut_offs": True,
    "source_deletions": "remove",
    "thresholds": {"max_psi": 0.4},
    "refresh_baseline": True,
    "fail_on": ["CRITICAL", "HIGH"],
}


def test_a_run_with_all_params_has_all_that_a_load_may_have() -> None:
    changed = RunParams.model_fields.keys() - {"as_of", "accept_loss"}

    never_load, ask = {"validate_only", "dry_run"}, {"ask_on", "answer"}
    assert ALL_PARAMS.keys() == changed - never_load - ask


@pytest.mark.parametrize("params", [{}, {"load_strategy": "replace"}, ALL_PARAMS], ids=["none", "one", "all"])
def test_the_command_of_a_refused_load_starts_the_same_run_with_accept_loss(
    failed_runs: None, params: dict[str, Any]
) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    run = Run(
        run_id="refused", window=Window(as_of_date=DAY.date(), as_of=DAY), known_at=DAY,
        params=RunParams.read(params), settings=Settings.of(lake_bucket="a-lake"),
    )  # fmt: skip
    advice = _advise_acceptance(rules_of(run, reconstructed=None, dag_id=DAG))
    before = states().keys()

    type_in(shlex.split(advice[advice.index("airflow ") :]))

    [started] = states().keys() - before
    with create_session() as session:
        conf = session.query(DagRun).filter(DagRun.run_id == started).one().conf
    assert RunParams.read(conf or {}) == RunParams.read(
        {**params, "as_of": DAY.date().isoformat(), "accept_loss": True}
    )


def test_no_page_tells_to_clear_a_run_to_give_it_a_param() -> None:
    """A cleared run keeps its conf, so only a new run has another param."""
    texts = [RUNBOOK]
    texts += [
        path.read_text(encoding="utf-8") for path in sorted((PROJECT / "plugins" / "crmbet").rglob("*.py"))
    ]
    params = "|".join(RunParams.model_fields)

    for text in texts:
        words = " ".join(re.sub(r'"\s*\n\s*f?"', "", text).split())
        assert (
            re.findall(rf"[Cc]lear[^.;:]*\b(?:with|by) the param\b|[Cc]lear[^.;:]*`(?:{params})`", words)
            == []
        )
