SELECT raised_at, kind, dag_id, execution_id, as_of_date, task_id, try_number, what, next_step, anchor, delivered
FROM {schema}.alerts
ORDER BY raised_at DESC
LIMIT %(limit)s
