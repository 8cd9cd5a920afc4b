"""Who may see personal data on the monitoring page: whoever may read the connection of the lake, and no one else.

Those can read the data at their source, so the page shows them nothing that they could not see already. In Airflow's
simple auth manager it is the roles op and admin; in others it is the right to read that connection. A right of our own
would not do: the simple auth manager grants every custom view to all who may log in.
"""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import HTTPException

from crmbet.orchestration.context import LAKE_CONNECTION


def may_see_people(user: GetUserDep) -> None:
    """Refuse the request of a user who may not."""
    details = ConnectionDetails(conn_id=LAKE_CONNECTION)
    if not get_auth_manager().is_authorized_connection(method="GET", details=details, user=user):
        raise HTTPException(403, "Personal data are for those who may read the connection of the lake")
