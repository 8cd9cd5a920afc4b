-- missing: staged rows that the history lacks. superseded: staged rows that differ from the history's and were not
-- known earlier. The constants of BETWEEN let the planner read only the partitions that matter.
SELECT
    count(*) FILTER (WHERE history.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE staged.known_at >= history.known_at AND staged.row_hash IS DISTINCT FROM history.row_hash
    ) AS superseded
FROM {staging} AS staged
LEFT JOIN {table} AS history
    ON history.{key} = staged.{key}
   AND history.as_of = staged.as_of
   AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
