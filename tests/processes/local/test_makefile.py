"""Every target is explained, and everything that a target runs exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess

import pytest

from local.workspace import PROJECT

pytestmark = pytest.mark.processes

MAKEFILE = (PROJECT / "Makefile").read_text()


def test_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    printed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout

    explained = re.findall(r"^  make (\S+) +\S", printed, re.MULTILINE)
    defined = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert sorted(explained) == sorted(phony.split()) == sorted(defined)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"\$\(python\) -m (\S+)", MAKEFILE))))
def test_every_module_that_a_target_runs_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("name", [".ci/run", ".pre-commit-config.yaml"])
def test_ci_and_hooks_call_targets_that_exist(name: str) -> None:
    called = set(re.findall(r"\bmake ([a-z-]+)", (PROJECT / name).read_text()))
    assert called
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in called)
