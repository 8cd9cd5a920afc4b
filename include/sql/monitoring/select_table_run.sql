-- The run whose rows the table shows: of the loads of the newest as_of, the last one.
SELECT *
FROM {schema}.pipeline_runs
WHERE dag_id = %(dag_id)s AND state = 'success' AND as_of IS NOT NULL AND records_inserted IS NOT NULL
ORDER BY as_of DESC, ended_at DESC
LIMIT 1
