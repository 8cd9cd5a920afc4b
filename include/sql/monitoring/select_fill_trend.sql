-- How many players had a value in a column. Of several runs of an as_of, the last good one counts.
WITH last AS (
    SELECT DISTINCT ON (as_of_date) as_of_date, (players -> 'filled' ->> %(column)s)::float8 AS filled
    FROM {schema}.pipeline_runs
    WHERE dag_id = %(dag_id)s AND state = 'success' AND players -> 'filled' ? %(column)s
    ORDER BY as_of_date DESC, ended_at DESC
    LIMIT %(most)s
)
SELECT as_of_date::text AS as_of, filled
FROM last
ORDER BY as_of_date
