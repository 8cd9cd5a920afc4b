"""Whole runs of the DAG on real services, and what they left."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from types import SimpleNamespace
from typing import Any, TypeVar

import boto3
import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from pydantic import BaseModel
from sqlalchemy import event

from crmbet.databases.duckdb import LakeAccess
from crmbet.run.records import read_manifest
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import ObjectStore
from local.credentials import credentials
from local.env import database_variables, lake_variables
from local.object_store import REGION
from local.workspace import PROJECT
from tests.integration.pipeline_process import TABLE, ChangingOperator, Site
from tests.integration.roles import create_roles, drop_roles, make_login_of_loader

RECORD = "record_run"

Model = TypeVar("Model", bound=BaseModel)

_numbers = count(1)


@dataclass(frozen=True)
class Operator:
    """A betting operator of a module's own: a bucket, a source and a target, behind the connections crmbet_*."""

    bucket: str
    source_url: str
    target_url: str

    @cached_property
    def store(self) -> ObjectStore:
        return ObjectStore(boto3.client("s3"), self.bucket)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows from the target."""
        with closing(psycopg2.connect(self.target_url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def run(self, dag_id: str = "user_features_daily", **options: Any) -> FinishedRun:
        """Run a whole DAG in this process; `options` are those of `dag.test`."""
        dag = _dags()[dag_id]
        dag.deadline = None  # `dag.test` cannot end a DAG that has one: apache/airflow issue 73428
        for task in dag.tasks:
            # A retry shows in the number of tries, and does not make a test wait for half a minute.
            task.retry_delay = timedelta(seconds=0)
            task.retries = 1
        dag_run = dag.test(**options)
        instances = dag_run.get_task_instances()
        return FinishedRun(
            store=self.store,
            run_id=dag_run.run_id,
            states={
                instance.task_id: str(instance.state) for instance in instances if instance.task_id != RECORD
            },
            tries={
                instance.task_id: instance.try_number for instance in instances if instance.task_id != RECORD
            },
            recorded={str(instance.state) for instance in instances if instance.task_id == RECORD},
            state=str(dag_run.state),
        )

    def execute(
        self, tasks: Sequence[str], *, run_id: str, dag_id: str = "user_features_daily", **params: Any
    ) -> FinishedRun:
        """Execute tasks of a manual run as under an executor, where Airflow's database is out of their reach.

        Raises `AssertionError` if one of them asks it all the same, which it could in `dags test`.
        """
        from airflow import settings

        now = datetime.now(UTC)
        dag_run = SimpleNamespace(
            dag_id=dag_id, run_id=f"manual__{run_id}", run_type="manual", start_date=now, run_after=now,
            logical_date=None, data_interval_end=None,
        )  # fmt: skip
        dag = _dags()[dag_id]
        context: Any = {"dag_run": dag_run, "params": dag.params.dump() | params}
        event.listen(settings.engine, "before_cursor_execute", _refuse)
        try:
            left = {task: dag.get_task(task).execute(context) for task in tasks}
        finally:
            event.remove(settings.engine, "before_cursor_execute", _refuse)
        return FinishedRun(
            store=self.store, run_id=dag_run.run_id, states=dict.fromkeys(left, "success"), tries={},
            recorded=set(), state="", returned=left,
        )  # fmt: skip


def _refuse(*_: Any) -> None:
    raise AssertionError("a task asked Airflow's database")


def _dags() -> dict[str, Any]:
    """The project's DAGs. They are parsed for each run, because a run changes them."""
    from airflow.dag_processing.dagbag import DagBag

    dags: dict[str, Any] = DagBag(dag_folder=str(PROJECT / "dags")).dags
    return dags


@dataclass(frozen=True)
class FinishedRun:
    """What came of a run."""

    store: ObjectStore = field(repr=False)
    run_id: str
    states: dict[str, str]
    """By task, without record_run."""
    tries: dict[str, int]
    recorded: set[str]
    """The state of record_run, if the DAG has that task."""
    state: str
    returned: dict[str, Any] = field(default_factory=dict)
    """What tasks that were executed without Airflow have returned."""

    def manifest(self, task: str, model: type[Model]) -> Model:
        """What a task left."""
        return read_manifest(self.store, Layout(brand="default").run(self.run_id), task, model)

    def manifests(self) -> set[str]:
        """The tasks that left something."""
        keys = [entry.key for entry in self.store.list(Layout(brand="default").run(self.run_id))]
        return {
            key.rsplit("/", 1)[-1].removesuffix(".json")
            for key in keys
            if key.endswith(".json") and "/features/" not in key
        }


@pytest.fixture(scope="module")
def open_operator(services: Any, airflow_database: None) -> Iterator[Callable[[], Operator]]:
    """Makes operators with nothing in them; the environment points at the last one.

    `as_loader`: the target's login has nothing but the loader's role of include/sql/roles.sql.
    """
    with_roles: list[str] = []
    with pytest.MonkeyPatch.context() as patch:

        def create(target_url: str | None = None, *, as_loader: bool = False) -> Operator:
            number = next(_numbers)
            bucket, source = f"operator-{number}", f"operator_{number}_source"
            services.object_store.create_bucket(bucket)
            services.postgres.create_database(source)
            if target_url is None:
                target = f"operator_{number}_target"
                services.postgres.create_database(target)
                target_url = services.postgres.url(target)
                if as_loader:
                    create_roles(target_url)
                if as_loader or with_roles:
                    # The roles are the whole server's: a later operator grants to them, too.
                    with_roles.append(target_url)
                if as_loader:
                    target_url = make_login_of_loader(target_url)
            access = parse_dsn(target_url)
            variables = lake_variables(services.workspace, bucket)
            variables |= database_variables(services.postgres, source=source, target=access["dbname"])
            connection = json.loads(variables["AIRFLOW_CONN_CRMBET_TARGET"]) | {"login": access["user"]}
            variables |= {
                "AIRFLOW_CONN_CRMBET_TARGET": json.dumps(connection),
                "CRMBET_TARGET_URL": target_url,
            }
            # Several processes share the processors.
            for variable, value in {**variables, "CRMBET_THREADS": "1"}.items():
                patch.setenv(variable, value)
            return Operator(bucket, os.environ["CRMBET_SOURCE_URL"], target_url)

        yield create
    drop_roles(with_roles)


@pytest.fixture(scope="module")
def open_changing_operator(services: Any, new_database: Callable[[], str]) -> Callable[[], ChangingOperator]:
    """Makes operators with an empty lake and an empty tbl_transactions, whose runs are processes of their own."""

    def create() -> ChangingOperator:
        operator = ChangingOperator(_new_site(services, new_database()))
        operator.sql(TABLE)
        return operator

    return create


@pytest.fixture(scope="module")
def copy_changing_operator(
    services: Any, new_database: Callable[..., str]
) -> Callable[[ChangingOperator], ChangingOperator]:
    """Copies an operator with all that its runs have left, so that many tests can go on from one of them."""

    def create(original: ChangingOperator) -> ChangingOperator:
        site = _new_site(services, new_database(template=original.site.source_url))
        copy_bucket(services, original.site.bucket, site.bucket)
        return original.copy_to(site)

    return create


def _new_site(services: Any, source_url: str) -> Site:
    """An empty bucket beside a database."""
    bucket = f"changing-{next(_numbers)}"
    services.object_store.create_bucket(bucket)
    keys = credentials(services.workspace)
    lake = LakeAccess(
        region=REGION,
        access_key=keys.access_key_id,
        secret_key=keys.secret_access_key,
        endpoint_url=services.object_store.endpoint,
    )
    return Site(lake, bucket, source_url)


def copy_bucket(services: Any, bucket: str, empty_bucket: str) -> None:
    """Copy all objects, with their times, into a bucket that is empty and that nobody has looked into."""
    folder = services.object_store.folder
    shutil.copytree(folder / bucket, folder / empty_bucket, dirs_exist_ok=True)
