"""Airflow around the core: contexts, hand-overs, outcomes, retries, alerts and lineage."""
