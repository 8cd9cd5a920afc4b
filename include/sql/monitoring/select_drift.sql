-- The features of the newest judged as_of, the farthest from their baselines first, and since when each is beyond a limit.
WITH newest AS (
    SELECT execution_id
    FROM {schema}.feature_drift
    ORDER BY as_of DESC, written_at DESC
    LIMIT 1
)
SELECT shown.execution_id, shown.as_of, shown.baseline, shown.feature, shown.psi, shown.psi_limit, shown.beyond,
    shown.bins, streak.since
FROM newest
JOIN {schema}.feature_drift AS shown USING (execution_id)
LEFT JOIN LATERAL (
    SELECT max(as_of) AS as_of
    FROM {schema}.feature_drift
    WHERE feature = shown.feature AND as_of < shown.as_of AND beyond = '{{}}'
) AS last_within ON true
LEFT JOIN LATERAL (
    SELECT min(as_of) AS since
    FROM {schema}.feature_drift
    WHERE feature = shown.feature
        AND as_of <= shown.as_of
        AND beyond <> '{{}}'
        AND as_of > coalesce(last_within.as_of, '-infinity')
) AS streak ON shown.beyond <> '{{}}'
ORDER BY cardinality(shown.beyond) > 0 DESC, shown.psi DESC NULLS LAST, shown.feature
