-- The run whose rows the table shows: of the loads of the newest as_of, the last one. A restore puts an end to all earlier
-- loads: the table shows what the backup held until a load of that as_of or a later one.
WITH restored AS (
    SELECT dag_id, execution_id, state, ended_at
    FROM {schema}.pipeline_runs
    WHERE dag_id = %(restore)s AND state = 'success' AND as_of IS NOT NULL
    ORDER BY ended_at DESC
    LIMIT 1
)
SELECT run.*
FROM {schema}.pipeline_runs AS run
LEFT JOIN restored ON true
WHERE run.state = 'success'
    AND run.as_of IS NOT NULL
    AND (
        (
            run.dag_id = %(dag_id)s
            AND run.records_inserted IS NOT NULL
            AND (restored.ended_at IS NULL OR run.ended_at > restored.ended_at)
        )
        OR (run.dag_id, run.execution_id) = (restored.dag_id, restored.execution_id)
    )
ORDER BY run.as_of DESC, run.ended_at DESC
LIMIT 1
