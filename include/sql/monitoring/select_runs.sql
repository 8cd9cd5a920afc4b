-- The newest runs, and those of chosen dates, which may be older.
WITH newest AS (
    SELECT dag_id, execution_id, state
    FROM {schema}.pipeline_runs
    WHERE dag_id = %(dag_id)s
    ORDER BY ended_at DESC
    LIMIT %(limit)s
),
chosen AS (
    SELECT dag_id, execution_id, state
    FROM {schema}.pipeline_runs
    WHERE dag_id = %(dag_id)s AND as_of_date BETWEEN %(since)s::date AND %(until)s::date
    ORDER BY ended_at DESC
    LIMIT %(limit)s
)
SELECT *
FROM {schema}.pipeline_runs
WHERE (dag_id, execution_id, state) IN (SELECT * FROM newest UNION SELECT * FROM chosen)
ORDER BY ended_at DESC
