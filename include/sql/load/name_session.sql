-- The run's name in pg_stat_activity until the transaction ends, so that a waiting run can name the run that it waits
-- for.
SELECT pg_catalog.set_config('application_name'::text, %(name)s::text, true)
