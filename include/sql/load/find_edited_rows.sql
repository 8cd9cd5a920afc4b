-- Rows of the table whose cells are not those that the history has for the same player, as_of and row_hash. The rows of
-- the newest as_of, nearly all of the table, are joined with their day of the history. The others are looked up one by
-- one: they are few, and their days may lie anywhere in it.
SELECT target.{key}, target.as_of
FROM {table} AS target
JOIN {history} AS recorded ON recorded.{key} = target.{key} AND recorded.row_hash = target.row_hash
WHERE target.as_of = %(newest_loaded)s
  AND recorded.as_of = %(newest_loaded)s
  AND (%(newest_loaded)s BETWEEN %(oldest_staged)s AND %(newest_staged)s) IS NOT TRUE
  AND {cells_differ}
UNION ALL
SELECT target.{key}, target.as_of
FROM {table} AS target
CROSS JOIN LATERAL (
    SELECT *
    FROM {history} AS history
    WHERE history.{key} = target.{key} AND history.as_of = target.as_of AND history.row_hash = target.row_hash
    LIMIT 1
) AS recorded
WHERE target.as_of <> %(newest_loaded)s
  AND (target.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s) IS NOT TRUE
  AND {cells_differ}
