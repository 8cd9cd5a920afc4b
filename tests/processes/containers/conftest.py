"""The container files as data, and what the installed packages say about the names in them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from local.workspace import PROJECT

AIRFLOW_IMAGE = "crmbet-airflow"

ASK_AIRFLOW = """
import importlib, json, sys
from airflow.cli.cli_parser import get_parser
from airflow.configuration import retrieve_configuration_description

asked = json.load(sys.stdin)
answers = {"refused": [], "options": []}
for arguments in asked["commands"]:
    try:
        get_parser().parse_args(arguments)
    except SystemExit:
        answers["refused"].append(arguments)
sections = retrieve_configuration_description(include_airflow=True, include_providers=True)
for section, description in sections.items():
    answers["options"] += [f"AIRFLOW__{section}__{option}".upper() for option in description["options"]]
with open(sys.argv[1], "w") as output:
    json.dump(answers, output)
"""


@dataclass(frozen=True)
class Service:
    """One service of docker-compose.yaml, anchors resolved, variables as written."""

    name: str
    definition: Mapping[str, Any]

    @property
    def is_airflow(self) -> bool:
        return str(self.definition["image"]).startswith(f"{AIRFLOW_IMAGE}:")

    @property
    def runs_once(self) -> bool:
        return bool(self.definition["restart"] == "no")

    @property
    def environment(self) -> Mapping[str, str | None]:
        return self.definition.get("environment") or {}

    @property
    def script(self) -> str:
        """What the container runs, one text: the words of a command, or the script that it gives to a shell."""
        run = self.definition.get("entrypoint") or self.definition.get("command") or ""
        if isinstance(run, str):
            return run
        return str(run[-1]) if run[0] in {"sh", "bash"} else shlex.join(run)

    @property
    def health_check(self) -> str:
        """What the health check runs, one text."""
        kind, *words = self.definition["healthcheck"]["test"]
        return words[0] if kind == "CMD-SHELL" else shlex.join(words)

    @property
    def port(self) -> int:
        """The port that the service listens on, as its own command, environment or image says."""
        configured = self.environment.get("AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT")
        if configured:
            return int(configured)
        if str(self.definition["image"]).startswith("postgres:"):
            return 5432
        found = re.search(r"(?:--port |^port |--addr :)(\d+)", self.script, re.MULTILINE)
        assert found, f"{self.name} does not say where it listens"
        return int(found[1])

    def airflow_commands(self) -> Iterator[list[str]]:
        """The arguments of every `airflow` that the service runs, its health check included."""
        checks = [self.health_check] if "healthcheck" in self.definition else []
        for text in (self.script, *checks):
            for line in re.split(r"[|\n]", text.replace("\\\n", " ")):
                program, *arguments = shlex.split(line) or [""]
                if program == "airflow":
                    yield arguments


@dataclass(frozen=True)
class Installed:
    """What the installed Airflow and its providers answered."""

    refused_commands: list[list[str]]
    options: frozenset[str]


@pytest.fixture(scope="session")
def compose_text() -> str:
    return (PROJECT / "docker-compose.yaml").read_text()


@pytest.fixture(scope="session")
def compose(compose_text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(compose_text)
    return loaded


@pytest.fixture(scope="session")
def containers(compose: dict[str, Any]) -> dict[str, Service]:
    return {name: Service(name, definition) for name, definition in compose["services"].items()}


@pytest.fixture(scope="session")
def installed(containers: dict[str, Service], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Asked in a process of its own, configured as the containers are: some commands depend on it."""
    home = tmp_path_factory.mktemp("airflow")
    literal = {
        name: value
        for name, value in containers["scheduler"].environment.items()
        if value is not None and "$" not in value
    }
    commands = [one for service in containers.values() for one in service.airflow_commands()]
    assert commands
    answer = home / "answer.json"
    subprocess.run(
        [sys.executable, "-c", ASK_AIRFLOW, str(answer)],
        input=json.dumps({"commands": commands}),
        env={**os.environ, **literal, "AIRFLOW_HOME": str(home)},
        text=True,
        check=True,
        timeout=120,
        capture_output=True,
    )
    answers = json.loads(answer.read_text())
    return Installed(answers["refused"], frozenset(answers["options"]))


@pytest.fixture(scope="session")
def python_gb() -> float:
    """Gigabytes that a task takes beside the data engine: interpreter, Airflow, Great Expectations, boto3, pandas."""
    return 0.7


@pytest.fixture(scope="session")
def pinned() -> Callable[..., str]:
    """The version of a package in a requirements file."""

    def version(package: str, file: str = "requirements.txt") -> str:
        found = re.search(rf"^{re.escape(package)}==(\S+)", (PROJECT / file).read_text(), re.MULTILINE)
        assert found, f"{package} is not pinned in {file}"
        return found[1]

    return version
