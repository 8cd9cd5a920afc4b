"""The operator `erase_players`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.erasure.records import Searched
    from crmbet.orchestration.context import AirflowRun


class ErasePlayersOperator(BaseOperator):
    """Take the players of all requests under way out of the store and the tables, and prove that they are gone.

    No other task works on the store meanwhile: what one would write could name them again.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns counts, and the address of the certificate. Fails if the proof finds anything."""
        from airflow.sdk.exceptions import AirflowSkipException

        from crmbet.erasure.certificates import certify, complete
        from crmbet.erasure.ledger import read_erased
        from crmbet.erasure.proof import Wanted, search_store, search_tables
        from crmbet.erasure.requests import list_taken
        from crmbet.erasure.rewriting import rewrite_store
        from crmbet.erasure.spellings import Spellings
        from crmbet.erasure.tables import erase_from_tables, rename_files
        from crmbet.orchestration.context import erasure_key, load_session, open_run

        airflow_run = open_run(context)
        run = airflow_run.run
        with airflow_run.kept_store(alone=True), load_session(run.run_id, run.settings) as session:
            requests = list_taken(session)
            if not requests:
                raise AirflowSkipException("no request is being fulfilled")
            erased = read_erased(session, erasure_key)
            user_ids = [request.user_id for request in requests]
            with airflow_run.work() as work:
                removed = rewrite_store(work, erased, user_ids)
                rename_files(session, removed.renamed)
                airflow_run.store.delete_all(removed.renamed)
                removed = removed.model_copy(update={"tables": erase_from_tables(session, user_ids)})
                self.log.info("removed: %s", removed.model_dump_json())
                wanted = Wanted(erased, Spellings.of(user_ids))
                elsewhere, not_searched = self._search_airflow(airflow_run, wanted)
                searched = [search_store(work, wanted), search_tables(session, wanted), *elsewhere]
            for each in searched:
                self.log.info(
                    "searched %s: %d found, %d unread", each.place, len(each.found), len(each.unread)
                )
            certificate = certify(requests, searched, run, timezone.utcnow(), not_searched)
            key = complete(session, airflow_run.store, run, certificate)
        return {
            "requests": len(certificate.requests),
            "players": certificate.players,
            "files": removed.files,
            "rows": removed.rows,
            "certificate": airflow_run.store.url(key),
        }

    def _search_airflow(self, airflow_run: AirflowRun, wanted: Any) -> tuple[list[Searched], list[str]]:
        """Search Airflow's logs and its database. Returns what was searched, and what could not be."""
        from airflow.sdk.configuration import conf

        from crmbet.erasure.proof import search_database, search_logs
        from crmbet.orchestration.context import AIRFLOW_CONNECTION, airflow_dsn

        searched = [search_logs(Path(conf.get("logging", "base_log_folder")), wanted)]
        dsn = airflow_dsn()
        if dsn is None:
            return searched, [f"Airflow's database: there is no connection {AIRFLOW_CONNECTION}"]
        timeouts = airflow_run.run.settings.timeouts
        return [*searched, search_database(dsn, timeouts, wanted, place="Airflow's database")], []
