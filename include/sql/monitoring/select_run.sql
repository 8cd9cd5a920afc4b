SELECT *
FROM {schema}.pipeline_runs
WHERE dag_id = %(dag_id)s AND execution_id = %(execution_id)s
ORDER BY ended_at DESC
LIMIT 1
