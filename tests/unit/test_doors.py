"""The doors: what a newcomer adds is whole, and what another program imports is there.

CONTRIBUTING.md has the steps for a source, a feature, a theme, a check and a setting. Each test here goes through one
of those lists, and what it prints is the step that was forgotten: the file, and what belongs into it. That the content
of a step is right is another test's business, which the list names.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

import crmbet
from crmbet.databases.duckdb import open_engine
from crmbet.databases.statements import STATEMENTS, identifier, statement
from crmbet.features.themes import THEMES
from crmbet.quality.checks import REQUIRED_CHECKS, Check
from crmbet.quality.suites import EXPECTATIONS
from crmbet.run.settings import old_variable_names, variable_names
from local.workspace import PROJECT
from tests.sql import world as small_world
from tests.sql.reference import compute_reference

pytestmark = pytest.mark.unit

CODE = PROJECT / "plugins" / "crmbet"
SOURCES = small_world.contracts()
TABLE = small_world.table()
TOLD_OF_A_COLUMN = ("formula", "window", "sources", "meaning_pt", "example", "caution", "caution_pt")
"""What every feature's entry in the contract says, beside its type and meaning."""
HEAVY = (
    "boto3",
    "duckdb",
    "great_expectations",
    "numpy",
    "pandas",
    "psycopg2",
    "pyarrow",
    "sklearn",
    "airflow",
)


def text(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


def assert_nothing_is_missing(missing: list[str], section: str) -> None:
    if missing:
        steps = "\n".join(f"  - {step}" for step in missing)
        pytest.fail(f'CONTRIBUTING.md, "{section}": steps are missing\n{steps}', pytrace=False)


def test_a_source_has_all_its_files() -> None:
    clean = text("tests/integration/quality/clean_raw.sql")
    page = text("docs/contracts.md")
    missing = []
    for name in SOURCES:
        if not (EXPECTATIONS / "raw" / f"raw_{name}.json").exists():
            missing.append(f"include/expectations/raw/raw_{name}.json: write the suite of the source {name}")
        if name not in small_world.SOURCES or name not in small_world.TYPICAL:
            missing.append(
                f"tests/sql/world.py: add {name!r} to SOURCES and TYPICAL, so that SQL cases can use it"
            )
        if f"| `{name}` |" not in page:
            missing.append(f"docs/contracts.md: add a row for `{name}` to the table of sources")
        if not re.search(rf"^CREATE OR REPLACE TABLE {name} AS", clean, re.MULTILINE):
            missing.append(f"tests/integration/quality/clean_raw.sql: add a table {name} of clean rows")
    for path in sorted((EXPECTATIONS / "raw").glob("raw_*.json")):
        view = json.loads(path.read_text(encoding="utf-8"))["name"]
        if view != path.stem:
            missing.append(f"{path.relative_to(PROJECT)}: `name` must be {path.stem!r}, as the file is named")
    assert_nothing_is_missing(missing, "Add a source")


@pytest.fixture(scope="module")
def columns_by_theme() -> dict[str, set[str]]:
    """The columns of each theme, and of the models, in a world without players."""
    world = small_world.World(as_of_date=date(2026, 3, 1), settings={"memory_limit": "512MB", "threads": 1})
    with open_engine(world.run().settings) as engine:
        small_world.feature_query(engine, world)
        return {
            name: {column for column, *_ in engine.execute(f"DESCRIBE {identifier(name)}").fetchall()}
            for name in ("models", *THEMES)
        }


def test_a_feature_has_all_its_steps(columns_by_theme: dict[str, set[str]]) -> None:
    given = {column: theme for theme, columns in columns_by_theme.items() for column in columns}
    cases = "".join(
        path.read_text(encoding="utf-8") for path in (PROJECT / "tests/sql").glob("*/*/expected.yaml")
    )
    cases += text("tests/sql/test_scoring.py")
    catalogue = text("docs/features.md")
    world = small_world.World(as_of_date=date(2026, 3, 1), players=[{"user_id": "ana"}])
    (referred,) = compute_reference(world, {"ana": dict.fromkeys(TABLE.features)}).values()
    clean = text("tests/integration/quality/clean_features.sql")
    statements = {
        path.stem: path.read_text(encoding="utf-8") for path in STATEMENTS.glob("features/themes/*.sql")
    }
    missing = []
    for name, theme in given.items():
        asked = any(re.search(rf"\b{name}\b", text) for other, text in statements.items() if other != theme)
        # `users` is a table of facts for all themes, some of which serve itself alone.
        if name not in TABLE.columns and not asked and theme != "users":
            missing.append(
                f"include/contracts/user_features.yaml: add an entry for {name}, which the theme {theme} gives"
            )
    for name, column in TABLE.features.items():
        if name not in given:
            missing.append(f"include/sql/features/themes/<theme>.sql: no theme gives a column {name}")
        if lacking := [part for part in TOLD_OF_A_COLUMN if not getattr(column, part)]:
            missing.append(f"include/contracts/user_features.yaml: {name} needs {', '.join(lacking)}")
        if not re.search(rf"\b{name}\b", cases):
            missing.append(
                f"tests/sql/{given.get(name, '<theme>')}/<case>/expected.yaml: no case expects {name}"
            )
        if name not in referred:
            missing.append(f"tests/sql/reference.py: the second implementation does not compute {name}")
        if not re.search(rf"\b{name}\b", clean):
            missing.append(f"tests/integration/quality/clean_features.sql: the clean players have no {name}")
        if f"| `{name}` |" not in catalogue:
            missing.append(f"docs/features.md: run `make catalogue`, so that it has a line for {name}")
    assert_nothing_is_missing(missing, "Add a feature")


def test_a_theme_has_all_its_steps(columns_by_theme: dict[str, set[str]]) -> None:
    folder = STATEMENTS / "features" / "themes"
    code = "".join(path.read_text(encoding="utf-8") for path in CODE.rglob("*.py"))
    assembly = folder / "assemble_features.sql"
    assembled = assembly.read_text(encoding="utf-8")
    missing = []
    for path in sorted(folder.glob("*.sql")):
        where = path.relative_to(PROJECT)
        named = (
            path.stem in THEMES or f'"features/themes/{path.stem}"' in code or path.stem.startswith("read_")
        )
        if not named:
            missing.append(
                f"plugins/crmbet/features/themes.py: add {path.stem!r} to THEMES, or remove {where}"
            )
    for place, name in enumerate(THEMES):
        columns = sorted(columns_by_theme[name] & TABLE.features.keys())
        if columns and not _asks(assembled, name):
            missing.append(f"{assembly.relative_to(PROJECT)}: join {name}, which gives {', '.join(columns)}")
        askers = [other for other in THEMES if _asks(statement(f"features/themes/{other}"), name)]
        if not columns and not askers:
            missing.append(
                f"include/contracts/user_features.yaml: name a column of {name}, which no theme asks either"
            )
        missing += [
            f"plugins/crmbet/features/themes.py: {other} asks {name}, so {name!r} comes before it in THEMES"
            for other in askers
            if THEMES.index(other) < place
        ]
    assert_nothing_is_missing(missing, "Add a theme")


def _asks(sql: str, theme: str) -> bool:
    return re.search(rf"\b(FROM|JOIN) {theme}\b", sql) is not None


def test_a_check_has_all_its_steps() -> None:
    page = text("docs/quality.md")
    mutations = yaml.safe_load(text("tests/integration/quality/mutations.yaml"))
    missing = []
    for check in Check:
        if not re.search(rf"^\| \d+ \| {check.label} \| {check.severity} \|", page, re.MULTILINE):
            missing.append(
                f"docs/quality.md: add the row `| <number> | {check.label} | {check.severity} | ... |`"
            )
        stages = [stage for stage, checks in REQUIRED_CHECKS.items() if check in checks]
        if not stages:
            missing.append(f"plugins/crmbet/quality/checks.py: no stage of REQUIRED_CHECKS has {check.name}")
        for stage in stages:
            suites = [
                json.loads(path.read_text(encoding="utf-8")) for path in (EXPECTATIONS / stage).glob("*.json")
            ]
            if not any(
                entry["meta"]["check"] == check.label for suite in suites for entry in suite["expectations"]
            ):
                missing.append(
                    f"include/expectations/{stage}/<view>.json: no entry has the check {check.label}"
                )
            if not any(mutation["trips"] == check.label for mutation in mutations[stage]):
                missing.append(
                    f"tests/integration/quality/mutations.yaml: under {stage}, no corruption trips {check.label}"
                )
    for path in sorted(EXPECTATIONS.glob("*/*.json")):
        missing += _untried_rules(path)
    assert_nothing_is_missing(missing, "Add a check")


def _untried_rules(path: Path) -> list[str]:
    """Business rules that no corruption of test_gate.py trips."""
    tried = text("tests/integration/quality/test_gate.py")
    suite = json.loads(path.read_text(encoding="utf-8"))
    rules = [
        entry["description"]
        for entry in suite["expectations"]
        if entry["meta"]["check"] == Check.BUSINESS_RULES.label and "{" not in entry["description"]
    ]
    table = "CONTRADICTORY" if path.parent.name == "features" else "CONTRADICTIONS"
    return [
        f"tests/integration/quality/test_gate.py: add a change that breaks {rule!r} to {table}"
        for rule in rules
        # That a time is not before another one is tried by the contract.
        if f'"{rule}' not in tried and " is not before " not in rule
    ]


def test_a_setting_has_all_its_steps() -> None:
    table = re.findall(r"^\| `(CRMBET_\w+)` \|", text("docs/deployment.md"), re.MULTILINE)
    composed = re.findall(r"^  (CRMBET_\w+):", text("docker-compose.yaml"), re.MULTILINE)
    code = "".join(path.read_text(encoding="utf-8") for path in CODE.rglob("*.py") if path.stem != "settings")
    suites = "".join(path.read_text(encoding="utf-8") for path in EXPECTATIONS.glob("*/*.json"))
    digested = text("plugins/crmbet/features/kept_table.py") + text("plugins/crmbet/features/variables.py")
    learned = "".join(path.read_text(encoding="utf-8") for path in (CODE / "learning").rglob("*.py"))
    missing = []
    for variable in sorted(variable_names()):
        name = variable.removeprefix("CRMBET_").lower()
        if variable not in table:
            missing.append(f"docs/deployment.md: add a row for {variable} to the table of variables")
        if variable not in composed:
            missing.append(f"docker-compose.yaml: hand {variable} to the services that run our code")
        if not re.search(rf"\b{name}\b", code) and f'"{name}"' not in suites:
            missing.append(
                f"nothing reads {name}: use it in plugins/crmbet/ (features/variables.py for a theme), "
                "or as $PARAMETER in a suite"
            )
        if f".{name}" in learned and not re.search(rf"\b{name}\b", digested):
            missing.append(
                f"plugins/crmbet/features/kept_table.py: models read {name}, so add it to the table's digest"
            )
    missing += [
        f"docs/deployment.md or docker-compose.yaml: {variable} is no setting any more, remove it"
        for variable in sorted({*table, *composed} - variable_names() - old_variable_names())
    ]
    assert_nothing_is_missing(missing, "Add a setting")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, crmbet; print(sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(CODE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", crmbet.__all__)
def test_every_door_opens(name: str) -> None:
    assert getattr(crmbet, name) is not None


def test_there_is_no_other_door() -> None:
    with pytest.raises(AttributeError, match="no attribute 'validate'"):
        crmbet.validate  # noqa: B018 - the look itself is what fails


def test_the_version_is_the_newest_of_the_changelog() -> None:
    project: dict[str, Any] = tomllib.loads(text("pyproject.toml"))["project"]
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text("CHANGELOG.md"), re.MULTILINE)

    assert versions[0] == project["version"], (
        "CHANGELOG.md: the newest entry and pyproject.toml name one version"
    )
    assert versions == sorted(versions, key=lambda one: tuple(map(int, one.split("."))), reverse=True)
