-- The feature table of an earlier run as that of this run: only the columns that name the run are replaced.
SELECT
    * REPLACE (
        timezone('UTC', getvariable('known_at')) AS known_at,
        getvariable('execution_id') AS execution_id
    )
FROM {source}
ORDER BY user_id
