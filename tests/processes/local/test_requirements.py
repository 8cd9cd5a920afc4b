"""Every package that is installed has the hashes of its files, and whoever installs asks for them."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local import bootstrap
from local.workspace import PROJECT

pytestmark = pytest.mark.processes

COMPILED = (bootstrap.INSTALLER, *bootstrap.REQUIREMENTS)


@pytest.mark.parametrize("name", COMPILED)
def test_every_package_has_an_exact_version_and_hashes(name: str) -> None:
    lines = (PROJECT / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    packages = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    assert packages
    for package in packages:
        assert re.match(r"[\w.\[\],-]+==\S+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+ *$", package), package


def test_make_requirements_writes_the_hashes() -> None:
    dry = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "requirements"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    compiled = [line for line in dry.stdout.splitlines() if "pip compile" in line]

    assert [line.split(" -o ")[-1].strip() for line in compiled] == [
        "requirements.txt",
        "requirements-dev.txt",
        "local/installer.txt",
    ]
    assert all("--generate-hashes" in line for line in compiled)


def test_whoever_installs_asks_for_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[Any], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append([str(part) for part in command])
        failed = command[0] != bootstrap.PYTHON  # uv cannot, so pip is tried
        return subprocess.CompletedProcess(command, int(failed), "", "no network")

    monkeypatch.setattr(subprocess, "run", run)
    bootstrap._install()

    assert len(commands) == 4
    assert all("--require-hashes" in command for command in commands), commands


def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    """The installer of this machine really compares: nothing but a wheel that we made is asked for."""
    with zipfile.ZipFile(tmp_path / "crmbet_canary-1-py3-none-any.whl", "w") as wheel:
        about = {
            "METADATA": "Metadata-Version: 2.1\nName: crmbet-canary\nVersion: 1\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        for name, content in about.items():
            wheel.writestr(f"crmbet_canary-1.dist-info/{name}", content)
    wanted = tmp_path / "requirements.txt"
    wanted.write_text(f"crmbet-canary==1 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    uv = PROJECT / ".venv" / "bin" / "uv"

    refused = subprocess.run(
        [uv, "pip", "install", "--no-index", "--no-cache", "--find-links", tmp_path, "--require-hashes",
         "--target", tmp_path / "target", "--python", sys.executable, "--requirement", wanted],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()
