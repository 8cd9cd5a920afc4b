-- Runs in the data engine: how many players would move between two segments.
WITH moved AS (
    SELECT
        unnest([
            {{'dimension': 'rfm_segment', 'before': present.rfm_segment, 'after': staged.rfm_segment}},
            {{'dimension': 'churn_risk_band', 'before': present.churn_risk_band, 'after': staged.churn_risk_band}},
            {{'dimension': 'lifecycle_stage', 'before': present.lifecycle_stage, 'after': staged.lifecycle_stage}}
        ], recursive := true)
    FROM (SELECT user_id, rfm_segment, churn_risk_band, lifecycle_stage FROM {table}) AS present
    JOIN {staged} AS staged USING (user_id)
)
SELECT dimension, before, after, count(*) AS players
FROM moved
WHERE before IS DISTINCT FROM after
GROUP BY ALL
ORDER BY players DESC, dimension, before, after
LIMIT {most}
