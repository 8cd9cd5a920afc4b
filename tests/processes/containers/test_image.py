"""The image holds the pinned Airflow and the code, and runs as nobody in particular."""

from __future__ import annotations

import fnmatch
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.airflow import executable
from local.workspace import PROJECT

pytestmark = pytest.mark.processes

HOME = "/opt/airflow"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Instruction and argument, comments left out, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def copied(instructions: list[tuple[str, str]]) -> dict[str, str]:
    return {
        source: target
        for name, argument in instructions
        if name == "COPY"
        for source, target in [argument.split()]
    }


def test_hadolint_finds_nothing() -> None:
    found = subprocess.run(
        [executable("hadolint"), str(PROJECT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_base_is_the_pinned_airflow(instructions: list[tuple[str, str]], pinned: Callable[..., str]) -> None:
    bases = [argument for name, argument in instructions if name == "FROM"]

    assert bases == [f"apache/airflow:slim-{pinned('apache-airflow')}-python3.12"]


def test_requirements_are_installed_and_checked(
    instructions: list[tuple[str, str]], copied: dict[str, str]
) -> None:
    (install,) = [argument for _, argument in instructions if argument.startswith("pip install")]

    assert f"--require-hashes --requirement {copied['requirements.txt']} " in install
    assert install.endswith("&& pip check")


def test_what_is_copied_exists_and_keeps_its_place(copied: dict[str, str]) -> None:
    """The package finds include/ beside plugins/, in the image as in the repository."""
    ours = {source: target for source, target in copied.items() if source != "requirements.txt"}
    folders = ("dags", "plugins", "include", "config", "docs")

    assert ours == {source: f"{HOME}/{source}" for source in (*folders, "run_pipeline.py")}
    for source in folders:
        assert any((PROJECT / source).rglob("*.*")), source
    assert (PROJECT / "run_pipeline.py").is_file()


def test_nothing_but_what_is_copied_reaches_the_build(copied: dict[str, str]) -> None:
    lines = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied.keys()
    for excluded in lines[1 + len(copied) :]:
        code = [
            path.name
            for source in copied
            for path in (PROJECT / source).rglob("*")
            if path.suffix in {".py", ".sql"}
        ]
        assert not fnmatch.filter(code, excluded.removeprefix("**/"))


def test_image_runs_as_the_user_of_the_services(instructions: list[tuple[str, str]]) -> None:
    assert [argument for name, argument in instructions if name == "USER"] == ["0", "50000:0"]


@pytest.mark.parametrize(
    ("executor", "command", "loads"),
    [
        ("CeleryExecutor", ["celery", "worker"], True),
        ("CeleryExecutor", ["celery", "flower"], False),
        ("CeleryExecutor", ["scheduler"], False),
        ("LocalExecutor", ["scheduler", "--skip-serve-logs"], True),
        ("LocalExecutor,CeleryExecutor", ["scheduler"], True),
        ("KubernetesExecutor", ["scheduler"], False),
        ("LocalExecutor", ["api-server", "--port", "8080"], False),
        ("LocalExecutor", ["dag-processor"], False),
        ("LocalExecutor", ["dags", "test", "user_features_daily"], False),
        ("CeleryExecutor", ["jobs", "check", "--job-type", "TriggererJob", "--local"], False),
    ],
)
def test_only_the_parent_of_tasks_loads_great_expectations(
    executor: str, command: list[str], loads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty package of that name: the real one takes eight seconds."""
    (tmp_path / "great_expectations.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    # Set first, so that what the test loads is undone.
    monkeypatch.setitem(sys.modules, "great_expectations", sys)
    monkeypatch.delitem(sys.modules, "great_expectations")
    monkeypatch.setattr(sys, "argv", ["airflow", *command])
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)

    runpy.run_path(str(PROJECT / "config" / "airflow_local_settings.py"))

    assert ("great_expectations" in sys.modules) is loads


def test_worker_command_is_the_one_that_loads_great_expectations(containers: dict[str, object]) -> None:
    """Otherwise each validation pays eight seconds, and nothing would say so."""
    assert containers["worker"].script.split()[:3] == ["airflow", "celery", "worker"]  # type: ignore[attr-defined]
