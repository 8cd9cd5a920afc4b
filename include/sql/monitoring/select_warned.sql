-- What the warnings are, and whether somebody was told, is in the columns.
SELECT run.*
FROM {schema}.pipeline_runs AS run
WHERE run.state = 'success'
    AND run.ended_at BETWEEN %(since)s AND %(before)s
    AND EXISTS (
        SELECT FROM jsonb_each(run.tasks) AS task
        WHERE task.value ->> 'warning' IS NOT NULL
    )
ORDER BY run.ended_at
