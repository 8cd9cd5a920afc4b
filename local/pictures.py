"""`python -m local.pictures`: the README's pictures, taken in Chromium from runs that really happened.

It uses a workspace of its own. Airflow backfills two weeks of the demo's players. Its scheduled run finds a broken
newest day and fails, and an alert about it is mailed. Then that day is delivered again, and a run succeeds. All of this
takes a quarter of an hour.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local import airflow, ports, services, ui
from local.demo import DAG, HISTORY_DAYS, PLAYERS, SEED, ZONE
from local.env import LAKE_BUCKET, environment, process_environment
from local.postgres import EmbeddedPostgres
from local.processes import ServiceFailed
from local.simulator import World, deliver
from local.workspace import PROJECT, Workspace
from tests.integration.live.sinks import mail_sink

FOLDER = PROJECT / "docs"
BACKFILLED_DAYS = 14
MENDED_RUN = "delivered-again"
WIDTH, HEIGHT = 1280, 1000
TIMEOUT_SECONDS = 3600


def main() -> int:
    """Take the pictures. Returns the exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("Chromium is not installed (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    workspace = Workspace(PROJECT / ".local" / "pictures")
    services.stop(workspace)  # an earlier run may have been cut off
    shutil.rmtree(workspace.state, ignore_errors=True)
    try:
        services.up(workspace)
        with mail_sink() as sink:
            connection = {
                "conn_type": "smtp", "host": ports.HOST, "port": sink.port,
                "extra": {"from_email": "crmbet@example.com", "to": ["oncall@example.com"]},
            }  # fmt: skip
            login = ui.start(workspace, {"AIRFLOW_CONN_CRMBET_ALERTS_EMAIL": json.dumps(connection)})
            failed = _run_two_weeks(workspace)
            pages = [_html(mail) for mail in sink.mails]
            _take(chromium, login, failed, next(page for page in pages if failed in page))
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        services.stop(workspace)
    return 0


def _html(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    return str(body.get_content()) if body else ""


def _run_two_weeks(workspace: Workspace) -> str:
    """Backfill, let a run fail, and let another succeed. Returns the id of the failed run."""
    today = datetime.now(UTC).astimezone(ZONE).date()
    yesterday = today - timedelta(days=1)
    _deliver(workspace, today, broken=True)
    # The dates mean midnights in UTC. In a zone west of UTC the last one is exclusive.
    first, last = yesterday - timedelta(days=BACKFILLED_DAYS), yesterday
    _airflow(workspace, "dags", "unpause", DAG)
    _airflow(
        workspace, "backfill", "create", "--dag-id", DAG, "--from-date", str(first), "--to-date", str(last),
        "--max-active-runs", "2",
    )  # fmt: skip
    _wait_for("the backfill and the scheduled run", lambda: len(_ended(workspace)) == BACKFILLED_DAYS + 1)
    [failed] = [run for run in _ended(workspace) if run.startswith("scheduled__")]

    _remove_day(workspace, yesterday)
    _deliver(workspace, today)
    # The broken file had duplicates, so the good one is smaller.
    params = json.dumps({"as_of": str(today), "source_deletions": "remove"})
    _airflow(workspace, "dags", "trigger", DAG, "--run-id", MENDED_RUN, "--conf", params)
    _wait_for("the run of the new delivery", lambda: MENDED_RUN in _ended(workspace))
    return failed


def _deliver(workspace: Workspace, day: date, *, broken: bool = False) -> None:
    """Simulate the operator until the midnight that begins `day`; the days are the demo's."""
    start = datetime.now(UTC).astimezone(ZONE).date() - timedelta(days=HISTORY_DAYS)
    variables = environment(workspace)
    os.environ.update({name: value for name, value in variables.items() if name.startswith("AWS_")})
    world = World(SEED, PLAYERS, start, day)
    deliver(world, bucket=LAKE_BUCKET, source_url=variables["CRMBET_SOURCE_URL"], broken=broken)


def _remove_day(workspace: Workspace, day: date) -> None:
    """Delete a day's objects from the lake, since a delivery leaves existing objects alone."""
    import boto3

    client = boto3.client("s3", endpoint_url=environment(workspace)["AWS_ENDPOINT_URL"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=LAKE_BUCKET, Prefix="raw/"):
        for entry in page.get("Contents", []):
            if f"/dt={day}/" in entry["Key"]:
                client.delete_object(Bucket=LAKE_BUCKET, Key=entry["Key"])


def _airflow(workspace: Workspace, *arguments: str) -> None:
    environ = process_environment(workspace, ui_port=ui.running_port(workspace))
    command = [airflow.executable("airflow"), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceFailed(f"airflow {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")


def _ended(workspace: Workspace) -> dict[str, str]:
    """Runs that have ended, by id, with their states."""
    import psycopg2

    with closing(psycopg2.connect(EmbeddedPostgres(workspace).url(airflow.DATABASE))) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT run_id, state FROM dag_run WHERE dag_id = %s AND state IN ('success', 'failed')", (DAG,)
        )
        return dict(cursor.fetchall())


def _wait_for(what: str, happened: Callable[[], bool]) -> None:
    print(f"waiting for {what}", flush=True)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise ServiceFailed(f"waited {TIMEOUT_SECONDS} s in vain for {what}")
        time.sleep(1)


def _take(chromium: str, login: ui.Login, failed: str, mail: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(login.url)
        page.fill("input[name=username]", login.user)
        page.fill("input[name=password]", login.password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "login" not in url)

        page.goto(f"{login.url}/plugin/crmbet")
        page.frame_locator("iframe").locator("#chart-score canvas").wait_for()
        page.frame_locator("iframe").get_by_role("button", name="30 days").click()
        page.wait_for_timeout(2000)  # the charts are drawn in
        _shoot(page, "monitoring.png")

        page.goto(f"{login.url}/crmbet/?days=30")
        page.locator("#breaches button").first.click()
        page.locator("#rows table").wait_for()
        page.wait_for_timeout(1000)
        _shoot(page, "monitoring-rows.png")

        page.goto(f"{login.url}/crmbet/catalogue?search=churn_prob_30d")
        page.locator("#churn_prob_30d summary").click()
        page.locator("#churn_prob_30d canvas").first.wait_for()
        page.wait_for_timeout(1000)
        _shoot(page, "catalogue.png")

        page.goto(f"{login.url}/crmbet/reports/{quote(failed)}/raw")
        page.get_by_text("completeness").first.wait_for()
        _shoot(page, "quality-report.png")

        page.set_viewport_size({"width": 900, "height": 700})
        page.set_content(mail)
        _shoot(page, "alert.png", whole=True)
        browser.close()


def _shoot(page: Any, name: str, *, whole: bool = False) -> None:
    path: Path = FOLDER / name
    page.screenshot(path=path, full_page=whole)
    print(path.relative_to(PROJECT), flush=True)


if __name__ == "__main__":
    sys.exit(main())
