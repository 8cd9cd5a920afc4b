-- Rows of the table whose cells are not those that the history has for the same player, as_of and row_hash. The rows of
-- the newest as_of, nearly all of the table, are joined with their day of the history. The others are looked up one by
-- one: they are few, and their days may lie anywhere in it.
SELECT target.{key}, target.as_of
FROM (
    SELECT
        {key}, as_of, row_hash, marketing_allowed, {cells} AS cells,
        marketing_reason IS NOT NULL AS is_stopped
    FROM {table}
    WHERE as_of = %(newest_loaded)s
      AND (as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s) IS NOT TRUE
    OFFSET 0
) AS target
JOIN (
    SELECT {key}, row_hash, marketing_allowed, {cells} AS cells
    FROM {history}
    WHERE as_of = %(newest_loaded)s
      AND (%(newest_loaded)s BETWEEN %(oldest_staged)s AND %(newest_staged)s) IS NOT TRUE
    OFFSET 0
) AS recorded ON recorded.{key} = target.{key} AND recorded.row_hash = target.row_hash
WHERE recorded.cells <> target.cells
   OR (recorded.marketing_allowed AND NOT target.is_stopped) <> target.marketing_allowed
UNION ALL
SELECT target.{key}, target.as_of
FROM (
    SELECT
        {key}, as_of, row_hash, marketing_allowed, {cells} AS cells,
        marketing_reason IS NOT NULL AS is_stopped
    FROM {table}
    WHERE as_of <> %(newest_loaded)s
      AND (as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s) IS NOT TRUE
    OFFSET 0
) AS target
CROSS JOIN LATERAL (
    SELECT history.row_hash, history.marketing_allowed, {cells} AS cells
    FROM {history} AS history
    WHERE history.{key} = target.{key} AND history.as_of = target.as_of AND history.row_hash = target.row_hash
    LIMIT 1
) AS recorded
WHERE recorded.cells <> target.cells
   OR (recorded.marketing_allowed AND NOT target.is_stopped) <> target.marketing_allowed
