"""The operator `publish_audiences`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class PublishAudiencesOperator(BaseOperator):
    """Hand the audiences of the settings over to the CRM: views, files, what has changed, and a signed message."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `publish_audiences.json`; returns its address, and how many players each audience has."""
        from crmbet.audiences.definitions import read_audiences
        from crmbet.audiences.publishing import publish
        from crmbet.contracts.files import load_reasons_contract
        from crmbet.orchestration.context import audience_receiver, load_session, open_run
        from crmbet.orchestration.handover import hand_over

        airflow_run = open_run(context)
        run = airflow_run.run
        receiver = audience_receiver(run.settings)
        with airflow_run.work() as work, load_session(run.run_id, run.settings) as session:
            audiences = read_audiences(
                run.settings.audiences.folder, session.contract, load_reasons_contract()
            )
            manifest = publish(work, session, audiences, receiver, timezone.utcnow)
        counts = {each.audience: each.members for each in manifest.publications}
        return hand_over(
            airflow_run, self.task_id, manifest, {"audiences": counts, "delivered": manifest.delivered}
        )
