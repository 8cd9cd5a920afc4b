-- What the newest good runs of a DAG have used: no more than it takes to price them.
SELECT execution_id, run_type, as_of_date, state, ended_at, params, tasks
FROM {schema}.pipeline_runs
WHERE dag_id = %(dag_id)s AND state = 'success'
ORDER BY ended_at DESC
LIMIT %(limit)s
