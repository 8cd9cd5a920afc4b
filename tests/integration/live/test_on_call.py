"""Real runs under a scheduler that fail: the alerts that are sent, how often, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.credentials import credentials
from local.env import LAKE_BUCKET
from tests.integration.live.running import (
    AS_OF,
    BROKEN,
    DAG,
    KILLED,
    LATE,
    SLACK_SECRET,
    TOKEN,
    Live,
)

pytestmark = pytest.mark.integration


def test_a_killed_task_is_one_message_that_says_so(live: Live) -> None:
    assert live.states[KILLED] == "failed"
    [message] = live.messages(KILLED)
    assert message["task_id"] == "extract_s3"
    assert message["failure"]["kind"] == "Killed"
    assert "killed" in message["failure"]["what"]
    assert message["links"]["log"].endswith(f"/dags/{DAG}/runs/{KILLED}/tasks/extract_s3?try_number=1")
    assert message["links"]["runbook"].endswith("/crmbet/runbook#killed")
    assert len(live.mails(KILLED)) == 1


def test_a_broken_delivery_is_one_message_with_the_checks(live: Live) -> None:
    assert live.states[BROKEN] == "failed"
    [message] = live.messages(BROKEN)
    assert (message["kind"], message["task_id"], message["as_of"]) == (
        "failed",
        "validate_raw",
        AS_OF.isoformat(),
    )
    assert message["failure"]["kind"] == "QualityBreach"
    assert {"completeness", "primary_key_integrity"} <= {breach["check"] for breach in message["breaches"]}
    # Single columns and whole rows are both judged by the same threshold.
    incomplete = [breach for breach in message["breaches"] if breach["check"] == "completeness"]
    assert {breach["threshold"] for breach in incomplete} == {"5%"}
    assert any("of rows have no" in breach["observed"] and breach["keys"] for breach in incomplete)
    assert message["links"].keys() == {"log", "run", "report", "page", "runbook"}
    [mail] = live.mails(BROKEN)
    assert mail["To"] == "oncall@example.com"
    assert "user_features_daily (as_of 2024-04-10) failed at validate_raw" in mail["Subject"]
    page = mail.get_body(("html",)).get_content()
    assert "primary_key_integrity [CRITICAL] raw_bets" in page


def test_a_late_run_is_reported_once_and_so_is_its_recovery(live: Live) -> None:
    assert live.states[LATE] == "success"
    assert [message["kind"] for message in live.messages(LATE)] == ["deadline", "recovered"]


def test_a_channel_that_hangs_is_left_behind(live: Live) -> None:
    delivered = live.target("SELECT DISTINCT delivered::text FROM ml_features.alerts")
    for (one,) in delivered:
        results = json.loads(one)
        # Its own time-out, or that of all channels together.
        assert results.pop("crmbet_alerts_slack") in {"ReadTimeout", "no answer in 5 s"}
        assert results == {"crmbet_alerts_email": "sent", "crmbet_alerts_webhook": "sent"}
    assert {path for path, _, _ in live.web.posts} == {"/alerts", f"/hang/{SLACK_SECRET}"}


def test_failed_runs_have_their_rows(live: Live) -> None:
    rows = live.target(
        """
        SELECT execution_id, state, failed_task, failure, as_of_date, records_extracted, records_cleaned,
            quality_grade, tasks
        FROM ml_features.pipeline_runs
        """
    )
    by_run = {row[0]: row[1:] for row in rows}
    assert by_run.keys() == {KILLED, BROKEN}
    state, task, failure, as_of, extracted, cleaned, grade, tasks = by_run[BROKEN]
    assert (state, task, as_of, cleaned, grade) == ("failed", "validate_raw", AS_OF, None, "F")
    assert "not good enough" in failure
    assert extracted > 0
    assert tasks["extract_s3"]["seconds"] > 0
    assert 50e6 < tasks["extract_s3"]["peak_memory_bytes"] < 5e9
    assert tasks["load_merge"]["state"] == "upstream_failed"
    state, task, failure, _, extracted, *_ = by_run[KILLED]
    assert (state, task, extracted) == ("failed", "extract_s3", None)
    assert "killed" in failure


def test_the_row_of_a_run_whose_record_was_killed_is_written_for_it(live: Live) -> None:
    states = live.query(
        "airflow", "SELECT run_id, state FROM task_instance WHERE task_id = 'record_run' ORDER BY run_id"
    )
    assert states == [(BROKEN, "failed"), (KILLED, "success")]
    [(as_of, extracted, score)] = live.target(
        "SELECT as_of_date, records_extracted, quality_score FROM ml_features.pipeline_runs WHERE execution_id = %s",
        BROKEN,
    )
    assert (as_of, extracted > 0, score < 0.6) == (AS_OF, True, True)


def test_figures_are_airflow_metrics_too(live: Live) -> None:
    gauges = {line.partition(":")[0] for line in live.metrics if line.endswith("|g")}
    assert {"airflow.crmbet.records_extracted", "airflow.crmbet.data_quality_score"} <= gauges


def test_lineage_names_what_a_task_read_and_wrote(live: Live) -> None:
    events = [body for _, _, body in live.lineage.posts]
    [captured] = [
        event
        for event in events
        if event["job"]["name"] == f"{DAG}.extract_s3" and event["eventType"] == "COMPLETE"
    ]
    inputs, outputs = (
        {(one["namespace"], one["name"]) for one in captured[side]} for side in ("inputs", "outputs")
    )
    assert (f"s3://{LAKE_BUCKET}", "raw/bets") in inputs
    assert (f"s3://{LAKE_BUCKET}", "crmbet/brand=default/captures/source=bets") in outputs
    failed = {event["job"]["name"] for event in events if event["eventType"] == "FAIL"}
    assert {f"{DAG}.validate_raw", DAG} <= failed


def task_logs(live: Live, run_id: str) -> list[Path]:
    return sorted(
        (live.workspace.airflow_home / "logs" / f"dag_id={DAG}").glob(f"run_id={run_id}/task_id=*/*.log")
    )


def test_every_line_of_a_tasks_log_is_json_and_ours_name_the_run(live: Live) -> None:
    logs = task_logs(live, BROKEN)
    assert len(logs) >= 4
    ours = 0
    for path in logs:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            assert {"timestamp", "level", "event"} <= entry.keys()
            if str(entry.get("logger", "")).startswith("crmbet.") and "RecordRun" not in str(path):
                ours += 1
                assert entry["execution_id"] == BROKEN, line
                assert entry["component"].endswith("Operator"), line
                if " done: " in entry["event"]:
                    assert entry["as_of"] == AS_OF.isoformat()
    assert ours > 5


def test_each_step_logs_its_outcome_in_the_shape_of_the_original_specification(live: Live) -> None:
    lines = [json.loads(line) for path in task_logs(live, BROKEN) for line in path.read_text().splitlines()]
    said = {line["component"]: line for line in lines if "message" in line}
    # The record of this run is killed: it has no line.
    assert said.keys() == {"ExtractS3Operator", "ExtractPgOperator", "ValidateOperator"}
    for line in said.values():
        assert {"timestamp", "level", "component", "message", "execution_id", "as_of"} <= line.keys()
        assert line["message"] == line["event"]
    assert said["ExtractS3Operator"]["bets"] > 0
    assert said["ValidateOperator"]["level"] == "error"
    [recorded] = [
        line
        for path in task_logs(live, KILLED)
        for text in path.read_text().splitlines()
        if (line := json.loads(text)).get("component") == "RecordRunOperator" and "message" in line
    ]
    assert recorded["message"] == "the run has failed at extract_s3"
    assert (recorded["records_processed"], recorded["quality_score"]) == (None, None)


def test_no_secret_is_anywhere(live: Live) -> None:
    keys = credentials(live.workspace)
    secrets = (
        TOKEN,
        SLACK_SECRET.rpartition("/")[2],
        keys.secret_access_key,
        keys.fernet_key,
        keys.jwt_secret,
    )
    files = [path for path in (live.workspace.airflow_home / "logs").rglob("*") if path.is_file()]
    files += list((live.workspace.state / "logs").glob("*.log"))
    files += [
        path for path in (live.workspace.state / "lake").rglob("*") if path.suffix in (".json", ".html")
    ]
    assert len(files) > 20
    for path in files:
        text = path.read_text(errors="replace")
        assert [secret for secret in secrets if secret in text] == [], path
    assert [
        secret for secret in secrets if secret in json.dumps([post[2] for post in live.lineage.posts])
    ] == []
    for table in ("xcom", "rendered_task_instance_fields", "dag_run", "serialized_dag", "log", "callback"):
        rows = live.query("airflow", f"SELECT coalesce(string_agg({table}::text, ' '), '') FROM {table}")
        assert [secret for secret in secrets if secret in rows[0][0]] == [], table
    rows = live.target("SELECT string_agg(r::text, ' ') FROM ml_features.pipeline_runs r")
    assert [secret for secret in secrets if secret in rows[0][0]] == []
