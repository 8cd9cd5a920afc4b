"""Makes `.venv` with the pinned requirements; run by setup.sh. Needs nothing but the standard library.

A stamp in `.venv` records what was installed, so that a second run has nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
INSTALLER = "local/installer.txt"
"""uv, which is fifteen times as fast as pip."""


def main() -> None:
    """Make or update the environment unless it is up to date."""
    os.umask(0o022)  # for root, PostgreSQL runs under another account, which must be able to read .venv
    state = PROJECT / ".local"
    state.mkdir(exist_ok=True)
    with (state / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = {"requirements": _digest(), "folder": str(VENV)}
        installed = _stamp()
        if not _python_fits() or installed.get("folder", wanted["folder"]) != wanted["folder"]:
            _make_environment()
        elif installed == wanted:
            return
        STAMP.unlink(missing_ok=True)
        _install()
        STAMP.write_text(json.dumps(wanted), encoding="utf-8")


def _make_environment() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        version = "{}.{}".format(*sys.version_info)
        sys.exit(
            f"{sys.executable} cannot make virtual environments: install its venv package "
            f"(python{version}-venv on Debian and Ubuntu), or name another with PYTHON="
        )
    print(f"Making {VENV} with Python {sys.version.split()[0]} ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)


def _digest() -> str:
    digest = hashlib.sha256()
    for name in (INSTALLER, *REQUIREMENTS):
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()


def _stamp() -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content


def _python_fits() -> bool:
    """Whether the environment's Python runs and has a version that fits. If PYTHON is set, that is its version."""
    if not PYTHON.exists():
        return False
    ours = "{}.{}".format(*sys.version_info)
    accepted = {ours} if os.environ.get("PYTHON") else {"3.11", "3.12"}
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    answer = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() in accepted


def _install() -> None:
    print(f"Installing {REQUIREMENTS[-1]} ...", flush=True)
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # A package whose file is not the one that was tested is refused, whoever installs it.
    hashed = ["--require-hashes", "--requirement"]
    subprocess.run([*pip, *hashed, INSTALLER], cwd=PROJECT, check=True)
    fast: list[str | Path] = [
        VENV / "bin" / "uv",
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--python",
        PYTHON,
        REQUIREMENTS[-1],
    ]
    # uv has its own certificates. Behind a company's proxy only the machine's certificates work.
    for certificates in ([], ["--system-certs"]):
        ended = subprocess.run(
            [*fast, *certificates], cwd=PROJECT, stderr=subprocess.PIPE, text=True, check=False
        )
        if ended.returncode == 0:
            return
    print(f"{ended.stderr.rstrip()}\nuv could not install them: trying pip, which is slower ...", flush=True)
    subprocess.run([*pip, *hashed, REQUIREMENTS[-1]], cwd=PROJECT, check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failure:
        sys.exit(f"setup failed: `{' '.join(map(str, failure.cmd))}` ended with {failure.returncode}")
