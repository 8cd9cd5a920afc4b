"""`make setup`: which Python it takes, when it installs, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import bootstrap
from local.workspace import PROJECT

pytestmark = pytest.mark.processes

SETUP = PROJECT / "local" / "setup.sh"


def pretend(folder: Path, **versions: str) -> Path:
    """Commands that say they are a Python of some version; an empty version is a shim that runs nothing."""
    folder.mkdir(exist_ok=True)
    for name, version in versions.items():
        command = folder / name.replace("_", ".")
        answer = f'[ "$1" = -c ] && echo {version} || echo "chosen: ${{0##*/}} $2"' if version else "exit 127"
        command.write_text(f"#!/bin/sh\n{answer}\n")
        command.chmod(0o755)
    return folder


def setup(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environ["PATH"] = f"{folder}:/usr/bin:/bin"
    return subprocess.run(["/bin/sh", SETUP], env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ({"python3_12": "3.12", "python3_11": "3.11", "python3": "3.13"}, "python3.12"),
        ({"python3_12": "", "python3_11": "3.11", "python3": "3.13"}, "python3.11"),
        ({"python3_12": "", "python3_11": "", "python3": "3.12"}, "python3"),
        ({"python3_12": "", "python3_11": "", "python3": "3.13", "python": "3.11"}, "python"),
    ],
)
def test_the_first_python_that_runs_and_fits_is_taken(
    tmp_path: Path, versions: dict[str, str], chosen: str
) -> None:
    ended = setup(pretend(tmp_path / "bin", **versions))
    assert (ended.returncode, ended.stdout) == (0, f"chosen: {chosen} local/bootstrap.py\n")


def test_others_are_refused_with_a_sentence(tmp_path: Path) -> None:
    ended = setup(pretend(tmp_path / "bin", python3_12="", python3_11="", python3="3.13", python="2.7"))

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "needs Python 3.11 or 3.12" in ended.stderr
    assert "python3 is 3.13" in ended.stderr


def test_a_python_that_was_asked_for_is_the_only_candidate(tmp_path: Path) -> None:
    folder = pretend(tmp_path / "a folder", mine="3.12", wrong="3.10", python3_12="3.12")

    assert setup(folder, PYTHON=str(folder / "mine")).stdout == "chosen: mine local/bootstrap.py\n"
    refused = setup(folder, PYTHON=str(folder / "wrong"))
    assert refused.returncode == 1
    assert "wrong is 3.10" in refused.stderr


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A checkout whose environments hold nothing but a Python, and in which installing is only counted."""
    found = SimpleNamespace(folder=tmp_path / "checkout", installs=0)

    def make_environment() -> None:
        shutil.rmtree(found.folder / ".venv", ignore_errors=True)
        (found.folder / ".venv" / "bin").mkdir(parents=True)
        (found.folder / ".venv" / "bin" / "python").symlink_to(sys.executable)

    def install() -> None:
        found.installs += 1

    def move_to(folder: Path) -> None:
        found.folder = folder
        monkeypatch.setattr(bootstrap, "PROJECT", folder)
        monkeypatch.setattr(bootstrap, "VENV", folder / ".venv")
        monkeypatch.setattr(bootstrap, "PYTHON", folder / ".venv" / "bin" / "python")
        monkeypatch.setattr(bootstrap, "STAMP", folder / ".venv" / "installed.json")

    found.folder.mkdir()
    (found.folder / "local").mkdir()
    for name in (bootstrap.INSTALLER, *bootstrap.REQUIREMENTS):
        (found.folder / name).write_text("a==1\n")
    found.move_to = move_to
    move_to(found.folder)
    monkeypatch.delenv("PYTHON", raising=False)
    monkeypatch.setattr(bootstrap, "_make_environment", make_environment)
    monkeypatch.setattr(bootstrap, "_install", install)
    return found


def test_a_second_run_has_nothing_to_do(checkout: SimpleNamespace) -> None:
    bootstrap.main()
    bootstrap.main()
    assert checkout.installs == 1


@pytest.mark.parametrize("name", [bootstrap.INSTALLER, *bootstrap.REQUIREMENTS])
def test_changed_requirements_are_installed(checkout: SimpleNamespace, name: str) -> None:
    bootstrap.main()
    (checkout.folder / name).write_text("a==2\n")
    bootstrap.main()
    assert checkout.installs == 2


def test_an_installation_that_failed_is_tried_again(
    checkout: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(1, "uv")

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "_install", fail)
        with pytest.raises(subprocess.CalledProcessError):
            bootstrap.main()
    bootstrap.main()
    assert checkout.installs == 1


def test_a_copied_environment_is_made_anew(checkout: SimpleNamespace, tmp_path: Path) -> None:
    bootstrap.main()
    (checkout.folder / ".venv" / "left-over").touch()
    copy = tmp_path / "copy"
    shutil.copytree(checkout.folder, copy, symlinks=True)
    checkout.move_to(copy)

    bootstrap.main()
    assert checkout.installs == 2
    assert not (copy / ".venv" / "left-over").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: SimpleNamespace) -> None:
    bootstrap.main()
    python = checkout.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")

    bootstrap.main()
    assert checkout.installs == 2
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0


def test_another_version_that_is_asked_for_is_made_anew(
    checkout: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.main()
    python = checkout.folder / ".venv" / "bin" / "python"
    python.unlink()
    other = "3.12" if sys.version_info[:2] == (3, 11) else "3.11"
    python.write_text(f"#!/bin/sh\necho {other}\n")
    python.chmod(0o755)

    bootstrap.main()
    assert checkout.installs == 1
    monkeypatch.setenv("PYTHON", sys.executable)
    bootstrap.main()
    assert checkout.installs == 2


def test_a_python_without_ensurepip_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(SystemExit, match="install its venv package"):
        bootstrap._make_environment()


@pytest.mark.parametrize("uv_works_with", ["", "--system-certs", "nothing"])
def test_pip_steps_in_where_uv_cannot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uv_works_with: str
) -> None:
    commands: list[str] = []

    def run(command: list[Any], **_options: Any) -> SimpleNamespace:
        program, *words = [Path(str(word)).name for word in command]
        commands.append(" ".join([program, *words]))
        failed = program == "uv" and not commands[-1].endswith(uv_works_with)
        return SimpleNamespace(returncode=2 if failed else 0, stderr="no route to the index\n")

    monkeypatch.setattr(subprocess, "run", run)
    bootstrap._install()

    uv = "uv pip sync --quiet --require-hashes --python python requirements-dev.txt"
    pip = "python -m pip --disable-pip-version-check install --quiet"
    tried = [
        f"{pip} --require-hashes --requirement installer.txt",
        uv,
        f"{uv} --system-certs",
        f"{pip} --require-hashes --requirement requirements-dev.txt",
    ]
    assert commands == tried[: {"": 2, "--system-certs": 3, "nothing": 4}[uv_works_with]]
    said = capsys.readouterr().out
    assert ("no route to the index" in said) is ("slower" in said) is (uv_works_with == "nothing")
