-- Rows of the table that are not what the history says, each with the row of the history that it is judged by, the reason
-- against marketing that it should have, and who is wrong. A row is right if it was staged just now, or if its cells have
-- its row_hash. What this load has just recorded says nothing of what the table held before. A part that has_suspect,
-- has_other or has_unrecorded rules out is not read.
SELECT
    judged.*,
    CASE
        WHEN judged.is_same AND NOT judged.cells_differ AND judged.marketing_reason IS NOT NULL THEN 'table'
        WHEN EXISTS (
            SELECT
            FROM {staging} AS staged
            WHERE staged.{key} = judged.{key}
              AND staged.as_of = judged.recorded_as_of
              AND staged.row_hash = judged.recorded_hash
        ) THEN 'table'
        WHEN judged.is_same AND judged.cells_differ AND judged.table_fits THEN 'history'
        WHEN judged.history_fits THEN 'table'
        ELSE 'unknown'
    END AS verdict
FROM (
    SELECT suspect.*, recorded.row_hash AS recorded_hash, fits.table_fits, fits.history_fits
    FROM (
        -- The rows of the newest as_of, nearly all of the table, are joined with their day of the history.
        SELECT
            target.{key},
            recorded.as_of AS recorded_as_of,
            recorded.marketing_reason,
            {is_same} AS is_same,
            {cells_differ} AS cells_differ,
            NOT {is_same} AS may_fit
        FROM {table} AS target
        JOIN {history} AS recorded ON recorded.{key} = target.{key}
        WHERE target.as_of = %(newest)s
          AND recorded.as_of = %(newest)s
          AND %(has_suspect)s
          AND {is_suspect}
        UNION ALL
        -- The others are looked up one by one: they are few, and their days may lie anywhere in the history.
        SELECT
            target.{key},
            recorded.as_of,
            reason.marketing_reason,
            {is_same},
            {cells_differ},
            NOT {is_same}
        FROM {table} AS target
        CROSS JOIN LATERAL (
            SELECT *
            FROM {history} AS history
            WHERE history.{key} = target.{key} AND history.as_of = target.as_of
            LIMIT 1
        ) AS recorded
        CROSS JOIN LATERAL (
            {reason}
        ) AS reason
        WHERE target.as_of IS DISTINCT FROM %(newest)s
          AND %(has_other)s
          AND CASE
              WHEN {is_same}
              THEN {cells_differ} OR {is_loud} OR target.marketing_reason IS DISTINCT FROM reason.marketing_reason
              ELSE recorded.updated_at < %(written_at)s
          END
        UNION ALL
        -- No load has recorded the as_of of these, although the history has other days of the player: somebody has
        -- changed it. They are judged by the last of these days with their row_hash, or else by the last one. A row that
        -- has its hash is right, and the history has lost its day, unless another day has the same.
        SELECT
            target.{key},
            recorded.as_of,
            reason.marketing_reason,
            false,
            false,
            target.as_of <= recorded.as_of OR target.row_hash <> recorded.row_hash
        FROM (
            {unrecorded}
        ) AS target
        CROSS JOIN LATERAL (
            SELECT *
            FROM (
                SELECT *
                FROM {history} AS history
                WHERE history.{key} = target.{key} AND history.marketing_reason IS NULL
                ORDER BY history.as_of DESC
                LIMIT 3
            ) AS last
            ORDER BY last.row_hash = target.row_hash DESC, last.updated_at < %(written_at)s DESC, last.as_of DESC
            LIMIT 1
        ) AS recorded
        CROSS JOIN LATERAL (
            SELECT CASE WHEN newest.marketing_reason IS NOT NULL THEN 'gone' END AS marketing_reason
            FROM {history} AS newest
            WHERE newest.{key} = target.{key}
            ORDER BY newest.as_of DESC
            LIMIT 1
        ) AS reason
        WHERE target.as_of > recorded.as_of OR recorded.updated_at < %(written_at)s
    ) AS suspect
    JOIN {table} AS target ON target.{key} = suspect.{key}
    CROSS JOIN LATERAL (
        SELECT *
        FROM {history} AS history
        WHERE history.{key} = suspect.{key} AND history.as_of = suspect.recorded_as_of
        LIMIT 1
    ) AS recorded
    -- OFFSET keeps the planner from computing the hashes again wherever they are used.
    CROSS JOIN LATERAL (SELECT {table_fits} AS table_fits, {history_fits} AS history_fits OFFSET 0) AS fits
) AS judged
WHERE NOT (judged.may_fit AND judged.table_fits)
