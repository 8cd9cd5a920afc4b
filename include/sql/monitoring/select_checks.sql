-- How each check went in the newest judgements of its stage. Of several runs of an as_of, the last one counts.
WITH last AS (
    SELECT DISTINCT ON (stage, check_name, as_of) stage, check_name, severity, as_of, execution_id, success
    FROM {schema}.quality_results
    ORDER BY stage, check_name, as_of DESC, written_at DESC
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY stage, check_name ORDER BY as_of DESC) AS age
    FROM last
)
SELECT stage, check_name AS check, max(severity) AS severity,
    jsonb_agg(
        jsonb_build_array(as_of::date, success, execution_id) ORDER BY as_of
    ) AS judged
FROM numbered
WHERE age <= %(judged)s
GROUP BY stage, check_name
ORDER BY stage DESC, check_name
