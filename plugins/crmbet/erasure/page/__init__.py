"""The form by which the privacy office asks for erasures, in Airflow's UI."""
