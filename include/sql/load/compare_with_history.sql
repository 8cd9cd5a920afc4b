-- missing: staged rows that the history lacks. superseded: staged rows that differ from the history's and were not
-- known earlier. What says that the player is gone always gives way: the day has the player. edited: rows of the history
-- that say that they are equal to what is staged, and have other cells. The constants of BETWEEN let the planner read only
-- the partitions that matter.
SELECT
    count(*) FILTER (WHERE history.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE (staged.known_at >= history.known_at OR history.marketing_reason IS NOT NULL)
          AND staged.row_hash IS DISTINCT FROM history.row_hash
    ) AS superseded,
    count(*) FILTER (WHERE staged.row_hash = history.row_hash AND {cells_differ}) AS edited
FROM {staging} AS staged
LEFT JOIN {table} AS history
    ON history.{key} = staged.{key}
   AND history.as_of = staged.as_of
   AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
