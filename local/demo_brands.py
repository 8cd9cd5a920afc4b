"""Two brands, simulated, run side by side in one database, and the check that nothing crosses (`make demo-brands`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from crmbet.databases.statements import STATEMENTS
from crmbet.run.schemas import ROLES, role_of
from crmbet.run.window import midnight
from local import ui
from local.api import Api
from local.env import database_variables, lake_variables, process_environment
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres, programs
from local.processes import ServiceFailed
from local.services import up
from local.workspace import Workspace, default_workspace

ZONES = {"aurora": "America/Sao_Paulo", "borealis": "Asia/Tokyo"}
PLAYERS = {"aurora": 400, "borealis": 300}
DAYS = 10
TARGET = "crmbet_target_brands"


def main() -> int:
    """Run the demo; the exit status says whether the brands are apart."""
    try:
        return _run(default_workspace())
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1


def _run(workspace: Workspace) -> int:
    up(workspace)
    postgres, store = EmbeddedPostgres(workspace), EmbeddedObjectStore(workspace)
    postgres.create_database(TARGET)
    folder = workspace.state / "brands"
    folder.mkdir(parents=True, exist_ok=True)
    day = min(datetime.now(UTC).astimezone(ZoneInfo(zone)).date() for zone in ZONES.values())
    variables: dict[str, str] = {"CRMBET_BRANDS_DIRECTORY": str(folder)}
    for seed, (brand, zone) in enumerate(ZONES.items(), start=1):
        source = f"crmbet_source_{brand}"
        postgres.create_database(source)
        store.create_bucket(f"crmbet-lake-{brand}")
        own = {
            **lake_variables(workspace, f"crmbet-lake-{brand}"),
            **database_variables(postgres, source=source, target=TARGET),
        }
        variables |= own | {f"AIRFLOW_CONN_{brand.upper()}_SOURCE": own["AIRFLOW_CONN_CRMBET_SOURCE"]}
        _write_file(folder, brand, zone)
        _deliver(workspace, brand, seed, day, {**process_environment(workspace), **own})
    with ui.lent(workspace, variables) as login:
        for brand in ZONES:
            dag = f"user_features_daily__{brand}"
            with Api(login).unpaused(dag) as api:
                run_id = api.trigger(dag, {"as_of": day.isoformat()})
                print(f"\n{dag}, as_of {day}: run {run_id}\n", flush=True)
                states = {}
                for task in api.follow(dag, run_id):
                    print(f"  {task.name:<18}{task.state:<17}{task.seconds:>8.1f} s", flush=True)
                    states[task.name] = task.state
            if bad := [name for name, state in states.items() if state != "success"]:
                raise ServiceFailed(
                    f"{dag}: {', '.join(bad)} did not succeed; its logs are in the UI (make ui)"
                )
    return _judge(postgres.url(TARGET), day)


def _write_file(folder: Path, brand: str, zone: str) -> None:
    text = f"lake_bucket: crmbet-lake-{brand}\nsource_connection: {brand}_source\noperator_timezone: {zone}\n"
    (folder / f"{brand}.yaml").write_text(text, encoding="utf-8")
    print(f"\nconfig/brands/{brand}.yaml\n\n{text}", flush=True)


def _deliver(workspace: Workspace, brand: str, seed: int, day: date, environ: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "local.simulator", "--seed", str(seed), "--players", str(PLAYERS[brand])]
    command += ["--start", str(day - timedelta(days=DAYS)), "--end", str(day), "--timezone", ZONES[brand]]
    if subprocess.run(command, env=dict(environ), cwd=workspace.project, check=False).returncode:
        raise ServiceFailed("the sample data could not be made")


def _judge(url: str, day: date) -> int:
    """Print what each schema holds, and whether it is that brand's alone."""
    for brand in ZONES:
        options = ["--set", f"schema=ml_features_{brand}", "--file", str(STATEMENTS / "roles.sql")]
        subprocess.run([str(programs() / "psql"), "-X", "-q", url, *options], check=True, capture_output=True)
    faults = []
    players: dict[str, set[str]] = {}
    print("\nschema                  players   as_of")
    for brand, zone in ZONES.items():
        schema = f"ml_features_{brand}"
        rows = _query(url, f"SELECT user_id, as_of FROM {schema}.user_features")
        players[brand] = {user_id for user_id, _ in rows}
        instants = {as_of for _, as_of in rows}
        print(f"{schema:<22}{len(rows):>9,}   {', '.join(sorted(str(instant) for instant in instants))}")
        if not rows or instants != {midnight(day, ZoneInfo(zone))}:
            faults.append(f"{schema} is not as of its own midnight")
        others = [
            role_of(role, f"ml_features_{other}") for other in ZONES if other != brand for role in ROLES
        ]
        faults += [
            f"{role} may use {schema}"
            for role in others
            if _query(url, f"SELECT has_schema_privilege('{role}', '{schema}', 'USAGE')") != [(False,)]
        ]
    print(f"\n{len(set.intersection(*players.values())):,} player ids are in both.")
    if faults:
        print(f"\nNot apart: {'; '.join(faults)}", file=sys.stderr)
        return 1
    print(
        "\nNothing crosses: each table is as of its own midnight, and no role may use the schema of the other."
    )
    return 0


def _query(url: str, sql: str) -> list[tuple[Any, ...]]:
    import psycopg2

    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


if __name__ == "__main__":
    sys.exit(main())
