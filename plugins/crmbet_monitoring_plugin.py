"""Adds the monitoring page to Airflow's UI: an entry in the navigation, a tab on the DAG and a tab on the run.

This file is short because the plugin loader runs it in every process of Airflow (docs/adr/0002).
"""

from __future__ import annotations

import sys
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
    from crmbet.monitoring.page.reading import DAG_ID, Reading
    from crmbet.orchestration.context import (
        column_readers,
        open_store_reader,
        open_tables,
        read_report,
        spoken_texts,
    )
    from crmbet.orchestration.metadata import runs_under_way

    may_see_runs = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    # Whoever may read Airflow's connections can read the lake, so personal data in it are nothing new to them.
    may_see_people = requires_access_connection("GET")
    reading = Reading(
        open_tables=open_tables,
        read_report=read_report,
        column_readers=column_readers,
        runs_under_way=runs_under_way,
        open_store=open_store_reader,
    )
    app = create_app([may_see_runs], may_see_people, reading, spoken_texts().language)
    return [{"app": app, "url_prefix": f"/{MOUNT}", "name": "crmbet monitoring"}]


class CrmbetMonitoringPlugin(AirflowPlugin):
    """The plugin that Airflow loads."""

    name = "crmbet_monitoring"
    fastapi_apps = _apps()
    external_views = _views()
