-- A failed run that was cleared and failed again is another incident: only alerts since its start are about it.
SELECT run.*
FROM {schema}.pipeline_runs AS run
WHERE run.state = 'failed'
    AND run.ended_at BETWEEN %(since)s AND %(before)s
    AND NOT EXISTS (
        SELECT FROM {schema}.alerts AS alert
        WHERE alert.dag_id = run.dag_id
            AND alert.execution_id = run.execution_id
            AND alert.kind = 'failed'
            AND alert.raised_at >= run.started_at
            AND (
                alert.delivered = '{{}}'
                OR EXISTS (SELECT FROM jsonb_each_text(alert.delivered) AS channel WHERE channel.value = 'sent')
            )
    )
ORDER BY run.ended_at
