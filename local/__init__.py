"""Everything that a machine needs to run the project by itself: embedded PostgreSQL and S3, Airflow, sample data.

Nothing in here is deployed. Code that runs in a deployment lives in plugins/ and never imports from here.
"""
