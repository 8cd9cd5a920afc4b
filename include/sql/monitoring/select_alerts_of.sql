SELECT kind, raised_at, task_id, delivered
FROM {schema}.alerts
WHERE dag_id = %(dag_id)s AND execution_id = %(execution_id)s
ORDER BY raised_at
