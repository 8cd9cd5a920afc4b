"""The betting operator's player features: extraction, cleaning, features, quality gates and loading.

The modules at this level and below are the Airflow-free core; `crmbet.operators` is the thin layer over it that
`dags/` wires together. Heavy packages (DuckDB, pandas, Great Expectations, boto3) are imported inside functions, so
that parsing a DAG stays in milliseconds.
"""

FEATURE_SET_VERSION = "2"
"""Raised when the meaning of any feature column changes; every row of the table carries it."""
