"""`python -m local.services up|stop|ui|broker`: all embedded services of this checkout."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version

from crmbet.run.schedule import STREAMED
from local import airflow, ui
from local.broker import EmbeddedBroker, create_topics
from local.env import LAKE_BUCKET, SOURCE_DATABASE, TARGET_DATABASE, process_environment, write_env_file
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.processes import ServiceFailed
from local.workspace import Workspace, default_workspace

KAFKA_BUCKET = "crmbet-kafka"
"""Where the broker of `make broker` keeps its topics. The stream's offsets outlive it, so they must, too."""


def up(workspace: Workspace) -> None:
    """Make PostgreSQL, S3 and Airflow's database ready, and write env.sh. What runs already is left alone.

    Raises `ServiceFailed`.
    """
    postgres, store = EmbeddedPostgres(workspace), EmbeddedObjectStore(workspace)
    with workspace.locked():
        postgres.start()
        store.start()
        store.create_bucket(LAKE_BUCKET)
        for database in (airflow.DATABASE, SOURCE_DATABASE, TARGET_DATABASE):
            postgres.create_database(database)
        migrated = "migrated by apache-airflow " + version("apache-airflow")
        if postgres.note(airflow.DATABASE) != migrated:
            airflow.migrate(workspace, process_environment(workspace))
            postgres.set_note(airflow.DATABASE, migrated)
        write_env_file(workspace, ui_port=ui.running_port(workspace))
    print(f"PostgreSQL  {postgres.url(SOURCE_DATABASE)}")
    print(f"S3          {store.endpoint}, bucket {LAKE_BUCKET}")
    print(f"Environment source {workspace.env_file}")


def stop(workspace: Workspace) -> list[str]:
    """Stop every process of the workspace, and no other. Returns the names of the ones that ran."""
    with workspace.locked():
        stopped = ui.stop(workspace)
        for service in (
            EmbeddedBroker(workspace),
            EmbeddedObjectStore(workspace),
            EmbeddedPostgres(workspace),
        ):
            if service.stop():
                stopped.append(service.daemon.name)
    return stopped


def stop_all(workspace: Workspace) -> None:
    """Stop every process of the workspace, and print which ones ran."""
    print("Stopped " + (", ".join(stop(workspace)) or "nothing: nothing was running"))


def serve_ui(workspace: Workspace) -> None:
    """Start the services if they do not run, then Airflow's own processes. Print how to use the UI, and what is wrong.

    Raises `ServiceFailed`.
    """
    up(workspace)
    login = ui.start(workspace)
    print(f"Airflow UI  {login.url}, user {login.user}, password {login.password}")
    print(
        "            DAGs start paused: switch one on there, or `airflow dags unpause user_features_daily`."
    )
    environ = process_environment(workspace, ui_port=ui.running_port(workspace))
    plugins = {"PYTHONPATH": str(workspace.project / "plugins")}
    subprocess.run([sys.executable, "-m", "crmbet.doctor"], env={**environ, **plugins}, check=False)


def serve_broker(workspace: Workspace) -> None:
    """Start the services, and a broker with a topic for each source that the stream reads. Print its address.

    What runs already stays as it is. Raises `ServiceFailed`.
    """
    up(workspace)
    EmbeddedObjectStore(workspace).create_bucket(KAFKA_BUCKET)
    broker = EmbeddedBroker(workspace, KAFKA_BUCKET)
    broker.start()
    create_topics(broker.address, STREAMED)
    write_env_file(workspace, ui_port=ui.running_port(workspace))
    print(f"Kafka       {broker.address}, topics {', '.join(STREAMED)}")
    print("            Source the environment again. `make ui` then has the DAG user_features_stream.")


ACTIONS = {"up": up, "stop": stop_all, "ui": serve_ui, "broker": serve_broker}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one action on this checkout. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.services", description=__doc__)
    parser.add_argument("action", choices=ACTIONS)
    action = ACTIONS[parser.parse_args(arguments).action]
    workspace = default_workspace()
    try:
        action(workspace)
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except PermissionError as failure:
        print(
            f"{failure.filename} belongs to another user. Run as that user, or remove {workspace.state} "
            "(the sample data is made again).",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
