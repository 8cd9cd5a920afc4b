"""Airflow's REST API, as far as the demo needs it: start a run and follow its tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from local.processes import ServiceFailed
from local.ui import Login

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task stays."""
PARSE_TIMEOUT_SECONDS = 180
RUN_TIMEOUT_SECONDS = 3600
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Task:
    """One task as Airflow saw it."""

    name: str
    state: str
    seconds: float


class Api:
    """The API of a running Airflow, as its administrator."""

    def __init__(self, login: Login) -> None:
        self._url = login.url
        self._token = ""
        account = {"username": login.user, "password": login.password}
        self._token = self.call("POST", "/auth/token", account)["access_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer. Raises `ServiceFailed` with what Airflow says of a refusal."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        answer = httpx.request(
            method, self._url + path, json=body, headers=headers, timeout=60, trust_env=False
        )
        if answer.is_error:
            raise ServiceFailed(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text}")
        return answer.json()

    def running(self, dag: str, run_id: str, task: str) -> set[int]:
        """The map indexes of a mapped task's instances that run now."""
        found = self.call(
            "GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances?task_id={task}&state=running"
        )
        return {instance["map_index"] for instance in found["task_instances"]}

    @contextmanager
    def unpaused(self, dag: str) -> Iterator[Api]:
        """The same API while a DAG is unpaused, once its file has been parsed. Raises `ServiceFailed`."""
        self._await_parsed(dag)
        was_paused = self.call("GET", f"/api/v2/dags/{dag}")["is_paused"]
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        try:
            yield self
        finally:
            self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": was_paused})

    def trigger(self, dag: str, conf: Mapping[str, Any]) -> str:
        """Start a run. Returns its id."""
        body = {"logical_date": None, "conf": dict(conf)}
        return str(self.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"])

    def follow(self, dag: str, run_id: str) -> Iterator[Task]:
        """The tasks of a run, each when it has ended, until all have. Raises `ServiceFailed` if it takes too long."""
        deadline = time.monotonic() + RUN_TIMEOUT_SECONDS
        run = f"/api/v2/dags/{dag}/dagRuns/{run_id}"
        seen: set[tuple[str, int]] = set()
        state = ""
        while time.monotonic() < deadline:
            # Asked first, so that no task ends unseen between the two answers.
            state = self.call("GET", run)["state"]
            tasks = self.call("GET", f"{run}/taskInstances?order_by=end_date")["task_instances"]
            for task in tasks:
                instance = (task["task_id"], task["map_index"])
                if task["state"] in ENDED and instance not in seen:
                    seen.add(instance)
                    part = f": {task['rendered_map_index']}" if task["map_index"] >= 0 else ""
                    yield Task(task["task_id"] + part, task["state"], task["duration"] or 0.0)
            if state in ("success", "failed"):
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
        raise ServiceFailed(f"the run {run_id} was {state} after {RUN_TIMEOUT_SECONDS} s")

    def _await_parsed(self, dag: str) -> None:
        """Wait for the DAG processor, which may still know the file of an earlier start."""
        deadline = time.monotonic() + PARSE_TIMEOUT_SECONDS
        before = self._parsed_at(dag)
        while self._parsed_at(dag) in (None, before):
            if time.monotonic() > deadline:
                errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
                raise ServiceFailed(f"{dag} is not parsed: {errors or 'the DAG processor is slow'}")
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _parsed_at(self, dag: str) -> Any:
        found = self.call("GET", f"/api/v2/dags?dag_ids={dag}&exclude_stale=false")["dags"]
        return found[0]["last_parsed_time"] if found else None
