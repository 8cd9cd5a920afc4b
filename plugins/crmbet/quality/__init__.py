"""Quality gates: suites in include/expectations/ run by Great Expectations on views of the data engine.

`gate.check` is the way in; it gives a `report.Report` whether or not the data pass. Nothing knows Airflow.
"""
