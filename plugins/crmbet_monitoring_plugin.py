"""Adds the monitoring page to Airflow's UI: an entry in the navigation, a tab on the DAG and a tab on the run.

Each brand has a page of its own, with a switch to the others. A new one is there after a restart of the API server.

This file is short because the plugin loader runs it in every process of Airflow (docs/adr/0002).
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

MOUNT = "crmbet"


def _views() -> list[dict[str, Any]]:
    from airflow.sdk.configuration import conf

    # The UI may be served below a prefix.
    prefix = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    views = {"nav": ("", ""), "dag": ("-dag", ""), "dag_run": ("-run", "?run={RUN_ID}")}
    return [
        {
            "name": "Player features" if destination == "nav" else "Monitoring",
            "href": f"{prefix}/{MOUNT}/{query}",
            "destination": destination,
            "url_route": f"{MOUNT}{suffix}",
            **({"category": "browse"} if destination == "nav" else {}),
        }
        for destination, (suffix, query) in views.items()
    ]


def _apps() -> list[dict[str, Any]]:
    """The app, but only in the API server: no other process needs a web framework."""
    if "airflow.api_fastapi.app" not in sys.modules:
        return []
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_connection, requires_access_dag
    from fastapi import Depends

    from crmbet.monitoring.page.app import create_app
    from crmbet.monitoring.page.reading import Reading
    from crmbet.orchestration.context import (
        brand_pages,
        column_readers,
        daily_dags,
        open_store_reader,
        open_tables,
        read_report,
        spoken_texts,
    )
    from crmbet.orchestration.metadata import runs_under_way

    # Whoever may read Airflow's connections can read the lake, so personal data in it are nothing new to them.
    may_see_people = requires_access_connection("GET")
    apps = []
    for folder, dag_id in daily_dags().items():
        # Whoever may see the runs of a brand's DAG may see what they have written, and no other brand's.
        may_see_runs = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=dag_id))
        reading = Reading(
            dag_id=dag_id,
            pages=brand_pages,
            open_tables=partial(open_tables, dag_id),
            read_report=partial(read_report, dag_id),
            column_readers=partial(column_readers, dag_id),
            runs_under_way=runs_under_way,
            open_store=partial(open_store_reader, dag_id),
        )
        app = create_app([may_see_runs], may_see_people, reading, spoken_texts(dag_id).language)
        apps.append({"app": app, "url_prefix": f"/{folder}", "name": f"{folder} monitoring"})
    return apps


class CrmbetMonitoringPlugin(AirflowPlugin):
    """The plugin that Airflow loads."""

    name = "crmbet_monitoring"
    fastapi_apps = _apps()
    external_views = _views()
