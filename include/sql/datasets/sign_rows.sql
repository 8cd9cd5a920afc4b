-- The feature table of an earlier run, as one of this run: only what says which run it is of is another.
SELECT
    * REPLACE (
        timezone('UTC', getvariable('known_at')) AS known_at,
        getvariable('execution_id') AS execution_id
    )
FROM {source}
ORDER BY user_id
