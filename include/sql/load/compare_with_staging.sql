-- missing: staged players that the target lacks; stale: rows that merge would update.
SELECT
    (SELECT count(*) FROM {table}) AS rows,
    count(*) AS staged,
    count(*) FILTER (WHERE target.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE staged.as_of >= target.as_of
          AND (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
    ) AS stale
FROM {staging} AS staged
LEFT JOIN {table} AS target ON target.{key} = staged.{key}
