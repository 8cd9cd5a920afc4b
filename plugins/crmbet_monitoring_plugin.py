"""Adds pages to Airflow's UI: monitoring, in the navigation and as a tab of DAG and run, and the form for erasures.

Each brand has pages of its own, with a switch to the others. A new one has them after a restart of the API server.

This file is short because the plugin loader runs it in every process of Airflow (docs/adr/0002).
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

MOUNT = "crmbet"
FORM = "crmbet-erasure"


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
    ] + [
        {
            "name": "Requests for erasure",
            "href": f"{prefix}/{FORM}/",
            "destination": "nav",
            "url_route": FORM,
            "category": "browse",
        }
    ]


def _apps() -> list[dict[str, Any]]:
    """The apps, but only in the API server: no other process needs a web framework."""
    return [*_pages(), *_forms()] if "airflow.api_fastapi.app" in sys.modules else []


def _pages() -> list[dict[str, Any]]:
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
        prices_of,
        read_report,
        spoken_texts,
        store_address,
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
            prices=partial(prices_of, dag_id),
            open_tables=partial(open_tables, dag_id),
            read_report=partial(read_report, dag_id),
            column_readers=partial(column_readers, dag_id),
            store_address=partial(store_address, dag_id),
            runs_under_way=runs_under_way,
            open_store=partial(open_store_reader, dag_id),
        )
        app = create_app([may_see_runs], may_see_people, reading, spoken_texts(dag_id).language)
        apps.append({"app": app, "url_prefix": f"/{folder}", "name": f"{folder} monitoring"})
    return apps


def _forms() -> list[dict[str, Any]]:
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, HTTPException

    from crmbet.erasure.page.app import Office, create_form
    from crmbet.orchestration.context import (
        erasure_dags,
        form_pages,
        open_erasure_requests,
        privacy_officers,
        spoken_texts,
    )

    def officer_of(dag_id: str) -> Any:
        def officer(user: Any = Depends(get_user)) -> str:  # noqa: B008 - FastAPI calls it
            name = str(user.get_name())
            if name not in privacy_officers(dag_id):
                raise HTTPException(403, "CRMBET_PRIVACY_OFFICERS does not name you")
            return name

        return officer

    brands = {folder: brand for brand, folder in form_pages().items()}
    apps = []
    for folder, dag_id in erasure_dags().items():
        office = Office(
            brand=brands[folder], pages=form_pages, open_requests=partial(open_erasure_requests, dag_id)
        )
        app = create_form(officer_of(dag_id), office, spoken_texts(dag_id).language)
        apps.append({"app": app, "url_prefix": f"/{folder}", "name": f"{folder} form"})
    return apps


class CrmbetMonitoringPlugin(AirflowPlugin):
    """The plugin that Airflow loads."""

    name = "crmbet_monitoring"
    fastapi_apps = _apps()
    external_views = _views()
