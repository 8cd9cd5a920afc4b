"""Quality gates: Great Expectations runs the suites in include/expectations/ on views of the data engine.

Start at `gate.check`. It returns a `report.Report` whether or not the data pass. Nothing here imports Airflow.
"""
