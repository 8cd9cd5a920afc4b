-- How far a feature was from its baseline. Of several runs of an as_of, the last one counts. Bins are large: one is enough.
WITH last AS (
    SELECT DISTINCT ON (as_of) as_of, psi, psi_limit, baseline, bins
    FROM {schema}.feature_drift
    WHERE feature = %(feature)s
    ORDER BY as_of DESC, written_at DESC
    LIMIT %(most)s
)
SELECT as_of::date::text AS as_of, psi, psi_limit, baseline::text AS baseline,
    CASE WHEN as_of = max(as_of) OVER () THEN bins END AS bins
FROM last
ORDER BY last.as_of
