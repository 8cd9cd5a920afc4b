"""deploy/kubernetes says what the chart, the executor and the settings understand.

No cluster and no Helm is asked. The pod is made as the executor makes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from crmbet.run.settings import SETTINGS, size_in_bytes, variable_names
from local.workspace import PROJECT

if TYPE_CHECKING:
    from kubernetes.client.models import V1Container, V1Pod

pytestmark = pytest.mark.processes

FOLDER = PROJECT / "deploy" / "kubernetes"
CHART = {
    "airflowLocalSettings", "airflowVersion", "apiSecretKeySecretName", "apiServer.env", "apiServer.resources",
    "createUserJob.enabled", "dagProcessor.env", "dagProcessor.resources", "data.metadataSecretName",
    "defaultAirflowRepository", "defaultAirflowTag", "executor", "extraConfigMaps", "extraEnvFrom",
    "fernetKeySecretName", "jwtSecretName", "postgresql.enabled", "scheduler.resources",
    "securityContexts.containers", "securityContexts.pod", "triggerer.env", "triggerer.persistence.enabled",
    "triggerer.resources",
}  # fmt: skip
"""Keys of the chart that we set, as chart/values.yaml of apache/airflow has them at commit d6ba4817, for Airflow 3.1.3.
Later charts were not compared whole. What is below them is Kubernetes' own or free."""
UNITS = {"M": 10**6, "Gi": 2**30}
RELEASE = "{{ .Release.Name }}"
CHANNELS = re.compile(r"^ +# +- name: (\w+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def values_text() -> str:
    return (FOLDER / "values.yaml").read_text()


@pytest.fixture(scope="module")
def values(values_text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(values_text)
    return loaded


@pytest.fixture(scope="module")
def shared(values: Mapping[str, Any]) -> dict[str, str]:
    """What every service and every task has, by the name of the variable."""
    loaded: dict[str, str] = yaml.safe_load(values["extraConfigMaps"]["crmbet-settings"]["data"])
    return loaded


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The pod template as the chart fills it in for a release named crmbet."""
    text = (FOLDER / "pod-template.yaml").read_text().replace(RELEASE, "crmbet")
    assert "{{" not in text
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="module")
def pod(template: dict[str, Any], values: Mapping[str, Any]) -> V1Pod:
    """The pod of a task, as the executor makes it."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    return PodGenerator.construct_pod(
        dag_id="user_features_daily",
        task_id="clean_parts",
        map_index=2,
        pod_id="clean-parts-2",
        try_number=1,
        kube_image=f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}",
        date=None,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=None,
        base_worker_pod=PodGenerator.deserialize_model_dict(template),
        namespace="crmbet",
        scheduler_job_id="1",
    )


@pytest.fixture(scope="module")
def task(pod: V1Pod) -> V1Container:
    (container,) = pod.spec.containers
    return container


def paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The keys that are set, down to those of the chart's own."""
    for name, value in values.items():
        path = f"{above}{name}"
        if path in CHART or not isinstance(value, Mapping):
            yield path
        else:
            yield from paths(value, f"{path}.")


def quantity(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([A-Z]i?)?", text).groups()  # type: ignore[union-attr]
    return int(number) * (UNITS[unit] if unit else 1)


def from_secrets(env: list[dict[str, Any]]) -> set[str]:
    """Names of variables, each of which has the key of its own name in the secret of the connections."""
    for one in env:
        assert one["valueFrom"] == {"secretKeyRef": {"name": "crmbet", "key": one["name"]}}
    return {one["name"] for one in env}


def test_values_are_keys_of_the_chart(values: Mapping[str, Any]) -> None:
    assert set(paths(values)) == CHART


def test_image_is_that_of_the_pinned_airflow(values: Mapping[str, Any], pinned: Any) -> None:
    assert values["airflowVersion"] == values["defaultAirflowTag"] == pinned("apache-airflow")


def test_executor_loads_with_the_pinned_client() -> None:
    """Its provider and the client of Kubernetes are pinned for it alone; nothing else imports them."""
    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor

    assert KubernetesExecutor.supports_ad_hoc_ti_run


def test_shared_variables_are_settings(shared: Mapping[str, str]) -> None:
    ours = {name for name in shared if name.startswith("CRMBET_")}

    assert ours - variable_names() == set()
    assert all(isinstance(value, str) for value in shared.values())
    assert shared["CRMBET_LAKE_BUCKET"] == "BUCKET"
    for name in ours - {"CRMBET_LAKE_BUCKET"}:
        assert SETTINGS[name.removeprefix("CRMBET_").lower()].default is not None


@pytest.mark.full
def test_airflow_knows_every_shared_option(
    shared: Mapping[str, str], task: V1Container, installed: Any
) -> None:
    used = {name for name in [*shared, *(one.name for one in task.env)] if name.startswith("AIRFLOW__")}

    assert used - installed.options == set()


def test_services_that_run_our_code_have_connections_and_the_page_has_its_own(
    values: Mapping[str, Any], values_text: str
) -> None:
    needed = {"AIRFLOW_CONN_CRMBET_LAKE", "AIRFLOW_CONN_CRMBET_SOURCE", "AIRFLOW_CONN_CRMBET_TARGET"}

    assert from_secrets(values["dagProcessor"]["env"]) == needed
    assert from_secrets(values["triggerer"]["env"]) == needed
    assert from_secrets(values["apiServer"]["env"]) == {
        "AIRFLOW_CONN_CRMBET_LAKE",
        "AIRFLOW_CONN_CRMBET_MONITORING",
    }
    assert set(CHANNELS.findall(values_text)) == {
        f"AIRFLOW_CONN_CRMBET_ALERTS_{channel}" for channel in ("SLACK", "EMAIL", "WEBHOOK")
    }


def test_nothing_secret_is_written_down(values_text: str, shared: Mapping[str, str]) -> None:
    assert not [name for name in shared if re.search(r"CONN_CRMBET|PASSWORD|SECRET|_KEY", name)]
    assert re.findall(r"(?i)\b(?:password|pass|fernetKey|apiSecretKey|jwtSecret):", values_text) == []


def test_pod_template_has_no_key_that_kubernetes_would_drop(template: dict[str, Any]) -> None:
    """The client drops what it does not know without a word, so what it read is compared with what was written."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import ApiClient

    read = PodGenerator.deserialize_model_dict(template)

    assert ApiClient().sanitize_for_serialization(read) == template


def test_task_gets_image_settings_and_connections(
    values: Mapping[str, Any], pod: V1Pod, task: V1Container
) -> None:
    assert task.name == "base"
    assert task.image == f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}"
    assert pod.metadata.annotations["map_index"] == "2"
    assert [one.config_map_ref.name for one in task.env_from if one.config_map_ref] == ["crmbet-settings"]
    assert [one.secret_ref.name for one in task.env_from if one.secret_ref] == ["crmbet"]
    assert yaml.safe_load(values["extraEnvFrom"]) == [{"configMapRef": {"name": "crmbet-settings"}}]


def test_task_has_no_way_into_airflow_but_its_token(
    values: Mapping[str, Any], template: Mapping[str, Any], pod: V1Pod
) -> None:
    keys = {values["data"]["metadataSecretName"]} | {
        values[name] for name in ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName")
    }

    assert keys == {"crmbet-airflow"}
    assert not any(key in str(template) for key in keys)
    assert pod.spec.automount_service_account_token is False


def test_task_has_the_memory_and_the_cores_of_the_settings(
    shared: Mapping[str, str], task: V1Container, python_gb: float
) -> None:
    engine = size_in_bytes(shared["CRMBET_MEMORY_LIMIT"])

    assert task.resources.requests == task.resources.limits
    assert quantity(task.resources.limits["memory"]) >= engine + python_gb * 10**9
    assert task.resources.limits["cpu"] == shared["CRMBET_THREADS"]


def test_task_has_room_to_spill(shared: Mapping[str, str], pod: V1Pod, task: V1Container) -> None:
    (volume,) = pod.spec.volumes
    (mount,) = task.volume_mounts
    room = quantity(volume.empty_dir.size_limit)

    assert mount.name == volume.name
    assert mount.mount_path == shared["CRMBET_SPILL_DIRECTORY"]
    assert size_in_bytes(shared["CRMBET_MAX_UNPACKED_SIZE"]) < room
    assert room < quantity(task.resources.requests["ephemeral-storage"])


def test_pods_run_as_the_user_of_the_image(values: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    of_pod = values["securityContexts"]["pod"]

    assert (str(of_pod["runAsUser"]), str(of_pod["runAsGroup"])) == user
    assert of_pod["runAsNonRoot"] is True
    assert template["spec"]["securityContext"] == of_pod
    (container,) = template["spec"]["containers"]
    assert container["securityContext"] == values["securityContexts"]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
