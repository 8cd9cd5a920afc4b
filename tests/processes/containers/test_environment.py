"""Every variable of the containers is one that somebody reads, and no secret is written down."""

from __future__ import annotations

import re
from typing import Any

import pytest

from crmbet.audiences.notifying import WEBHOOK_CONNECTION
from crmbet.monitoring.alerts.channels import CHANNELS
from crmbet.orchestration.context import AIRFLOW_CONNECTION, ERASURE_CONNECTION
from crmbet.run.schedule import CONNECTIONS
from crmbet.run.settings import SETTINGS, SPECIFICATION_NAMES, old_variable_names, variable_names
from local.workspace import PROJECT

pytestmark = pytest.mark.processes

RUN_OUR_CODE = {"dag-processor", "triggerer", "worker"}
SHOWN_BY_THE_PAGE = {
    "AIRFLOW_CONN_CRMBET_LAKE",
    "AIRFLOW_CONN_CRMBET_MONITORING",
    "CRMBET_LAKE_BUCKET",
    "CRMBET_BRAND",
    "CRMBET_TARGET_SCHEMA",
    "CRMBET_BRANDS_DIRECTORY",
    "CRMBET_LAKE_CONNECTION",
    "CRMBET_MONITORING_CONNECTION",
    "AIRFLOW_CONN_CRMBET_PRIVACY",
    "CRMBET_PRIVACY_CONNECTION",
    "CRMBET_PRIVACY_OFFICERS",
    "CRMBET_LANGUAGE",
    "CRMBET_AUDIENCES_FOLDER",
}
"""What the monitoring page in the API server needs."""
CHANNEL_VARIABLES = {f"AIRFLOW_CONN_{name.upper()}" for name in CHANNELS}
OF_ERASURES = {"AIRFLOW_CONN_CRMBET_ERASURE", "AIRFLOW_CONN_CRMBET_AIRFLOW"}
NEEDED_BY_ALL = {
    "AIRFLOW__CORE__EXECUTOR",
    "AIRFLOW__CORE__AUTH_MANAGER",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API_AUTH__JWT_ISSUER",
}
SECRET = re.compile(r"PASSWORD|SECRET|_KEY$|FERNET|_CONN_|BASIC_AUTH")
REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])((?:\$\{[^}]*\}|[^}])*))?\}")
TRIAL = {"lake", "warehouse"}
EXAMPLE_LINE = re.compile(r"^(#?)([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def references(text: str) -> list[tuple[str, str, str]]:
    """Name, operator and default or message of each variable in a text.

    `${A:-${B:?message}}` asks for A, unless B is set: A is required and B is not.
    """
    found = []
    for name, operator, default in REFERENCE.findall(text):
        inner = REFERENCE.fullmatch(default)
        if inner is None:
            found.append((name, operator, default))
        else:
            assert operator == ":-", name
            found += [(name, inner[2], inner[3]), (inner[1], ":-", "")]
    return found


@pytest.fixture(scope="session")
def example() -> dict[str, tuple[bool, str]]:
    """Of each variable in .env.example: whether it must be filled in, and the value that stands there."""
    lines = EXAMPLE_LINE.findall((PROJECT / ".env.example").read_text())
    assert len({name for _, name, _ in lines}) == len(lines)
    return {name: (not commented, value) for commented, name, value in lines}


def connection_variables() -> set[str]:
    ids = [
        *(CONNECTIONS[name] for name in ("lake", "source", "target", "stream")),
        WEBHOOK_CONNECTION,
        ERASURE_CONNECTION,
        AIRFLOW_CONNECTION,
    ]
    return {f"AIRFLOW_CONN_{connection_id.upper()}" for connection_id in ids}


@pytest.mark.full
def test_airflow_knows_every_option(containers: dict[str, Any], installed: Any) -> None:
    used = {name for one in containers.values() for name in one.environment if name.startswith("AIRFLOW__")}

    assert used >= NEEDED_BY_ALL
    assert used - installed.options == set()


def test_airflow_services_share_what_all_of_them_need(containers: dict[str, Any]) -> None:
    seen = [
        {name: one.environment.get(name) for name in NEEDED_BY_ALL}
        for one in containers.values()
        if one.is_airflow
    ]

    assert None not in seen[0].values()
    assert all(values == seen[0] for values in seen)


def test_settings_and_connections_reach_exactly_the_services_that_run_our_code(
    containers: dict[str, Any],
) -> None:
    ours = variable_names() | old_variable_names() | connection_variables() | CHANNEL_VARIABLES
    bare = set(SPECIFICATION_NAMES.values()) - {"DATA_LAKE_BUCKET"}  # it fills in CRMBET_LAKE_BUCKET
    for one in containers.values():
        given = {name for name in one.environment if name.startswith(("CRMBET_", "AIRFLOW_CONN_"))}
        expected = SHOWN_BY_THE_PAGE if one.name == "api-server" else set()
        assert given == (ours if one.name in RUN_OUR_CODE else expected), one.name
        assert one.environment.keys() & bare == (bare if one.name in RUN_OUR_CODE else set()), one.name


def test_example_names_every_variable_that_compose_asks_for_and_no_other(
    compose_text: str, containers: dict[str, Any], example: dict[str, tuple[bool, str]]
) -> None:
    asked = {name for name, _, _ in references(compose_text)}
    passed_on = {
        name for one in containers.values() for name, value in one.environment.items() if value is None
    }

    assert example.keys() == asked | (passed_on - variable_names() - old_variable_names())


def test_example_agrees_with_compose_on_what_is_required_and_on_defaults(
    compose_text: str, example: dict[str, tuple[bool, str]]
) -> None:
    for name, operator, default in references(compose_text):
        required, value = example[name]
        if operator == ":?":
            assert (required, value) == (True, ""), name
        else:
            assert operator == ":-", f"{name} has neither a default nor a message"
            assert (required, value) == (False, default), name


def test_secrets_have_no_default_and_no_literal(compose_text: str, containers: dict[str, Any]) -> None:
    secrets = 0
    for name, operator, default in references(compose_text):
        if SECRET.search(name):
            secrets += 1
            assert (operator == ":?" and default) or (operator, default) == (":-", ""), name
    for one in containers.values():
        for name, value in one.environment.items():
            if SECRET.search(name) and value is not None:
                assert REFERENCE.fullmatch(value) or one.name == "flower", f"{one.name}: {name}"

    assert secrets >= 10


def test_only_the_trial_starts_without_a_message_when_its_secret_is_missing(
    containers: dict[str, Any],
) -> None:
    """There the server itself refuses to start; production is refused before anything starts."""
    silent = set()
    for one in containers.values():
        for name, value in one.environment.items():
            if name in CHANNEL_VARIABLES | {
                "AIRFLOW_CONN_CRMBET_STREAM",
                "AIRFLOW_CONN_CRMBET_AUDIENCES_WEBHOOK",
                "AIRFLOW_CONN_CRMBET_PRIVACY",
                *OF_ERASURES,
            }:
                continue  # nobody needs to be told, and there need be neither stream nor audiences
            if name in CHANNEL_VARIABLES | {"AIRFLOW_CONN_CRMBET_STREAM", *OF_ERASURES}:
                continue  # nobody needs to be told, and there need not be a stream or an erasure
            asked = references(value or f"${{{name}}}")
            silent |= {one.name for known, operator, _ in asked if SECRET.search(known) and operator != ":?"}

    assert silent == TRIAL


def test_urls_hold_no_literal_password(compose_text: str) -> None:
    assert re.findall(r"://\w*:(?!\$\{)[^@\s/]+@", compose_text) == []


def test_deployment_page_lists_every_setting_with_its_default() -> None:
    page = (PROJECT / "docs" / "deployment.md").read_text()
    listed = {
        name: (default, meaning)
        for name, default, meaning in re.findall(
            r"^\| `(CRMBET_\w+)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE
        )
    }
    expected = {}
    for name, field in SETTINGS.items():
        default = (
            "required"
            if field.is_required()
            else "none"
            if field.default in ("", None)
            else f"`{field.default}`"
        )
        expected[f"CRMBET_{name.upper()}"] = (default, field.description)

    assert listed == expected
