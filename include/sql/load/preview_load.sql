-- Runs in the data engine: how a run's rows compare with the table, in numbers of players.
WITH present AS (SELECT user_id, as_of, row_hash, gone FROM {table}),
staged AS (SELECT user_id, as_of, row_hash FROM {staged})
SELECT
    count(present.user_id) AS "rows",
    count(*) FILTER (NOT present.gone) AS live,
    count(staged.user_id) AS staged,
    count(*) FILTER (present.user_id IS NULL) AS missing,
    count(*) FILTER (present.row_hash <> staged.row_hash) AS changed,
    count(*) FILTER (staged.user_id IS NULL) AS absent,
    count(*) FILTER (staged.user_id IS NULL AND NOT present.gone) AS lost,
    min(staged.as_of) AS oldest_staged,
    max(staged.as_of) AS newest_staged,
    max(present.as_of) AS newest_loaded
FROM present
FULL JOIN staged USING (user_id)
