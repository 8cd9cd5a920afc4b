"""The monitoring page in Airflow's UI."""
