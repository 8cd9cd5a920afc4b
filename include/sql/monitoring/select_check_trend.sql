-- What each expectation of a check found over time: a share of rows, or a figure. A check in breach has told of its breaches
-- alone.
WITH last AS (
    SELECT DISTINCT ON (as_of) as_of, execution_id, success, observed, threshold
    FROM {schema}.quality_results
    WHERE stage = %(stage)s AND check_name = %(check)s
    ORDER BY as_of DESC, written_at DESC
    LIMIT %(judged)s
),
found AS (
    SELECT last.as_of, last.execution_id, NOT last.success AS in_breach,
        seen.item ->> 'view' AS view, seen.item ->> 'expectation' AS expectation,
        allowed.item ->> 'threshold' AS allowed, (allowed.item ->> 'limit')::float8 AS most,
        coalesce(
            (seen.item ->> 'unexpected_share')::float8,
            CASE WHEN jsonb_typeof(seen.item -> 'observed') = 'number' THEN (seen.item ->> 'observed')::float8 END
        ) AS value,
        seen.item ->> 'unexpected_share' IS NOT NULL AS is_share
    FROM last
    CROSS JOIN LATERAL jsonb_array_elements(last.observed) WITH ORDINALITY AS seen (item, place)
    JOIN LATERAL jsonb_array_elements(last.threshold) WITH ORDINALITY AS allowed (item, place)
        ON allowed.place = seen.place
)
SELECT view, expectation, bool_or(is_share) AS is_share, (array_agg(allowed ORDER BY as_of DESC))[1] AS allowed,
    jsonb_agg(jsonb_build_array(as_of::date, value, most, in_breach, execution_id) ORDER BY as_of) AS found
FROM found
WHERE value IS NOT NULL
GROUP BY view, expectation
ORDER BY bool_or(in_breach) DESC, max(value / nullif(most, 0)) DESC NULLS LAST, max(value) DESC, view, expectation
LIMIT %(most)s
