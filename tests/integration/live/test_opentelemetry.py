"""A run's figures reach a collector of OpenTelemetry, where Airflow's metrics are sent to one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local import ports
from local.workspace import PROJECT

pytestmark = pytest.mark.integration

# As in a task's process: figures are sent at the latest when the process ends.
PUBLISH = """
from datetime import UTC, datetime
from crmbet.monitoring.metrics import RunMetrics
from crmbet.orchestration.record import publish_gauges
now = datetime.now(UTC)
publish_gauges(
    RunMetrics(
        dag_id="d", execution_id="e", run_type="manual", brand="default", as_of=None, state="failed",
        started_at=now, ended_at=now, records_extracted=41,
    )
)
"""


@pytest.mark.full
def test_figures_reach_a_collector() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on the screen."""

    with ThreadingHTTPServer((ports.HOST, 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        variables = {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{ports.HOST}:{collector.server_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "PYTHONPATH": str(PROJECT / "plugins"),
        }
        subprocess.run([sys.executable, "-c", PUBLISH], env=os.environ | variables, check=True, timeout=120)
        collector.shutdown()

    [(path, body)] = received
    assert path == "/v1/metrics"
    assert b"airflow.crmbet.records_extracted" in body
    assert b"airflow.crmbet.records_cleaned" not in body
